/*
Package seal is the cryptography of a store: who can write its log, who can read
it, and how reading it is made impossible again. It takes bytes and gives bytes;
it knows neither NATS nor files. This page is the whole scheme. The byte formats
are in FORMAT.md.

# Keys

A store has two private keys, the owner's ([OwnerKeys]): one opens what was
sealed to the store, one signs the owner's decisions ([SignDecision]). They exist
in two encrypted copies in the keyring file ([Keyring]), one under Argon2id of
the passphrase, one to a key that is derived from 24 recovery words. The public
halves stand beside them in the clear, so that a daemon can seal for the owner
without being able to open.

	passphrase ──Argon2id──▶ box ─┐
	                              ├─▶ store's private key, owner's signing key
	24 words ───HKDF──▶ HPKE key ─┘

A daemon has a key of its own ([DeviceKey]), which the owner enrols by a decision.
With it the daemon signs what it writes, and reads the little it must know while
locked.

All public-key encryption is HPKE with MLKEM768X25519, a hybrid: it holds as long
as either X25519 or ML-KEM does. All signatures are Ed25519. Everything else is
AES-256-GCM and HKDF-SHA256, except for the tokens that callers carry ([TokenKey]):
a locked daemon makes one with every write, under one key with random nonces, which
takes the long ones of XChaCha20-Poly1305.

# Writing

The unit of the log is the segment: some events, sealed once. A segment has a
[Class], which says who can open it. Segments of a class are sealed in epochs of
up to a day or [EpochSegments] segments. [NewEpoch] picks a random root and wraps
it to each recipient of the class: the store's key, and for class management the
device key too. The wrap goes to the key directory, its hash into each segment,
and from the root comes a ratchet:

	root ─▶ chain 0 ─▶ chain 1 ─▶ chain 2 ─▶ …      forwards only
	  │        ▼          ▼          ▼
	  │      key 0      key 1      key 2             one segment each
	  ▼
	wrap: HPKE to the store's key (and the device's)

NewEpoch forgets the root, and [Epoch.Seal] forgets each key and each chain key
before it returns. So the daemon, a moment after it wrote a segment, cannot open
it any more, and neither can whoever takes over the daemon then. What is written
from then on he can read and forge, until the daemon is restarted clean and the
device key replaced.

The AEAD binds a segment to its store, class, epoch, index and sequence in the
log. The device's signature covers the same and says which daemon wrote it: HPKE
alone would let anyone write who knows the public key. Class open ([SealOpen]) has
the signature only.

# Reading

[ParseSegment] takes a log message apart, [Segment.Verify] checks that an
enrolled device wrote it for this place of the log, and [Opener.Open] opens it,
with the wrap that a [WrapSource] finds in the key directory. A wrap that is not
the one the segment names is tampering ([ErrTampered]); one that is missing is the
source's error, which its caller must tell apart into erased and lost.

# Erasing

Who destroys an epoch's wrap has erased the epoch, in every copy of the log: the
root exists nowhere else. This is why copies of the key directory are kept apart
from copies of the log.

What is to be kept of such an epoch is sealed again first ([NewReseal]): by the
projector, which alone can open it, under a root of its own that is wrapped to the
store's key and lies in the key directory as well. The daemon appends the result
like anything else and sees ciphertext only. To its reader ([Opener.OpenResealed])
it stands for the segment that it was made of.

# Other keys

An owner who fears that somebody has the keys gives the store others
([Keyring.Rekey]), which the same passphrase and words open. The root of every
epoch is wrapped to them ([Rewrap]), and the old wraps are destroyed. Segments name
the wrap that their epoch began with; the new one says under the owner's signature
that it stands for that ([Segment.CheckWrap]). The decision about it is signed by the
old key and by the new one ([SignRekeying]); the decisions after it by the new one.

# Unlocking

The passphrase reaches the projector through the daemon as ciphertext: the
projector makes a one-time key pair ([NewOffer]), the client encrypts to it
([SealPassphrase]), and the key is gone once it has opened one ([Offer.Open]).

# Keys in memory

Private keys, roots and chain keys are kept in a [Secret]: locked memory outside
the collected heap, wiped by Destroy. What computes with them runs inside [Do],
which erases registers, stack and garbage in builds with
GOEXPERIMENT=runtimesecret ([Erasing] says so). The key schedule of a segment is on
the heap, because the standard library puts it there; it is wiped at once and does
not wait for the collector. The Ed25519 keys and the memory of HPKE and Argon2 do
wait for it: after they are destroyed, one or two collections erase them. The
tests read the process's own memory and look for all of these.

# Files

	store.go     names: StoreID, Class
	keyring.go   the keyring file: passphrase and recovery (words.go)
	owner.go     the owner's keys and decisions
	rekey.go     other keys for a store
	device.go    the daemon's key
	epoch.go     the ratchet and the writer (wrap.go: the wrap file)
	segment.go   the form of a segment, and its signature
	opener.go    the reader
	reseal.go    what an erasure leaves
	offer.go     the passphrase on its way
	box.go       small things under a symmetric key
	token.go     what callers carry away and bring back
	suite.go     algorithms and labels
	secret.go    memory for keys (do_erasing.go, do_plain.go: Do)
*/
package seal
