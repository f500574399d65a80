// Package authz decides who may write and who may see what.
//
// Everything rests on the owner's decisions: a chain of signed facts in the log
// (pb.Decision), each naming the hash of the one before it. A State is what a
// chain amounts to. It is pure: the same decisions give the same State, in the
// daemon, which can open only their public part and so knows who may write, and in
// the projector, which also opens their details and so knows who may read.
//
// Two answers come out of a State. Share tells whether an app may write a type;
// that one is visible to the app. Scope tells what a reader may see; it is an
// unforgeable value without which the view cannot be read, and it never says "no":
// what may not be seen is not there.
package authz

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// ErrForged is returned for a decision that is not the owner's next one: the
// signature, the number, the link to the decision before it or the detail is wrong.
var ErrForged = errors.New("not the owner's next decision")

// Verifier checks that a decision carries its owner's signature.
type Verifier interface {
	VerifyDecision(decision, signature []byte) error
	// Rekeyed returns the verifier of the decisions after the one that gives the store other
	// keys, if these have agreed to follow on the decision with the hash previous.
	Rekeyed(previous []byte, r *pb.StoreRekeyed) (Verifier, error)
}

// State is what a chain of decisions amounts to. It is safe for concurrent use;
// the *App values it returns are never changed afterwards.
type State struct {
	details bool

	mu sync.RWMutex
	// Of the next decision.
	verifier  Verifier
	rekeyings []Rekeying
	number    uint64
	head      []byte
	// Every daemon that was enrolled; the last one writes.
	devices []*pb.DeviceEnrolled
	policy  pb.Plausibility
	// SHA-256 of the keyring; nil: still the first one.
	keyring []byte
	apps    map[uint64]*App
	byKey   map[string]*App
	// By type; only with details.
	orders map[uint32][]*pb.SourceName
	units  map[uint32]string
	// By number; only with details.
	disclosures map[uint64]*Disclosure
	// In order, and what stands for each epoch of class health that was erased.
	erasures  []*Erasure
	erased    map[uint64]*pb.ErasedEpoch
	losses    []*Loss
	retention retention // only with details
}

// NewState returns the state before the first decision. With details it wants the
// detail of every decision that has one, and so knows names and read grants.
func NewState(v Verifier, details bool) *State {
	return &State{
		verifier: v, details: details, policy: pb.Plausibility_PLAUSIBILITY_WARN,
		apps: map[uint64]*App{}, byKey: map[string]*App{},
		orders: map[uint32][]*pb.SourceName{}, units: map[uint32]string{}, disclosures: map[uint64]*Disclosure{},
		erased: map[uint64]*pb.ErasedEpoch{},
	}
}

// Decide verifies the next decision and applies it. The detail is the serialized
// DecisionDetail, nil where it cannot be opened. The error wraps ErrForged; the
// state is then unchanged.
func (s *State) Decide(d *pb.SignedDecision, detail []byte) error {
	decision, parsed, err := s.verify(d, detail, s.details)
	if err != nil {
		return err
	}
	return s.apply(d, decision, parsed, false)
}

// apply applies a decision that was verified, whose detail may be lost.
func (s *State) apply(d *pb.SignedDecision, decision *pb.Decision, parsed *pb.DecisionDetail, lost bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	touched, err := s.follow(decision, parsed)
	if err != nil {
		return err
	}
	next, err := s.successor(decision)
	if err != nil {
		return err
	}
	s.rekey(d, decision, next)
	if device := decision.GetDeviceEnrolled(); device != nil {
		s.devices = append(s.devices, device)
	}
	if policy := decision.GetPolicySet(); policy != nil {
		s.policy = policy.GetPlausibility()
	}
	if touched != nil {
		s.apps[touched.Number], s.byKey[touched.Key] = touched, touched
	}
	s.prefer(parsed)
	s.erase(d, decision, parsed)
	s.retain(decision, parsed)
	s.lose(d, decision)
	s.disclose(decision, parsed, touched)
	if lost {
		s.doubt(decision)
	}
	sum := sha256.Sum256(d.GetDecision())
	s.number, s.head = decision.GetNumber(), sum[:]
	return nil
}

// Check tells whether Decide will take the next decision, without applying it. It
// wants the detail, and no other, even of a state without details: what is once in
// the log must be good for every reader of the log, or it ends there for them.
func (s *State) Check(d *pb.SignedDecision, detail []byte) error {
	decision, parsed, err := s.verify(d, detail, true)
	if err != nil {
		return err
	}
	if len(decision.GetDetailHash()) == 0 && len(detail) > 0 {
		return fmt.Errorf("%w: decision %d has no detail", ErrForged, decision.GetNumber())
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if _, err = s.follow(decision, parsed); err != nil {
		return err
	}
	_, err = s.successor(decision)
	return err
}

func (s *State) verify(d *pb.SignedDecision, detail []byte, details bool) (*pb.Decision, *pb.DecisionDetail, error) {
	s.mu.RLock()
	verifier := s.verifier
	s.mu.RUnlock()
	if err := verifier.VerifyDecision(d.GetDecision(), d.GetSignature()); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrForged, err)
	}
	decision, parsed := &pb.Decision{}, &pb.DecisionDetail{}
	if err := proto.Unmarshal(d.GetDecision(), decision); err != nil {
		return nil, nil, fmt.Errorf("%w: malformed", ErrForged)
	}
	if !details || len(decision.GetDetailHash()) == 0 {
		return decision, parsed, nil
	}
	sum := sha256.Sum256(detail)
	if !bytes.Equal(sum[:], decision.GetDetailHash()) {
		return nil, nil, fmt.Errorf("%w: decision %d: its detail is missing or another", ErrForged, decision.GetNumber())
	}
	if err := proto.Unmarshal(detail, parsed); err != nil || parsed.GetNumber() != decision.GetNumber() {
		return nil, nil, fmt.Errorf("%w: decision %d: malformed detail", ErrForged, decision.GetNumber())
	}
	return decision, parsed, nil
}

func (s *State) link(d *pb.Decision) error {
	if d.GetNumber() != s.number+1 || !bytes.Equal(d.GetPrevious(), s.head) {
		return fmt.Errorf("%w: decision %d does not follow decision %d", ErrForged, d.GetNumber(), s.number)
	}
	return nil
}

// follow returns what a decision makes of the app it speaks of, nil if it speaks of
// none. It changes nothing.
func (s *State) follow(d *pb.Decision, detail *pb.DecisionDetail) (*App, error) {
	if err := s.link(d); err != nil {
		return nil, err
	}
	touched, err := s.decided(d)
	if err != nil {
		return nil, err
	}
	if touched != nil && touched.Removed && detail.GetBody() != nil {
		return nil, fmt.Errorf("%w: decision %d describes the app that it removes", ErrForged, d.GetNumber())
	}
	if d.GetAppUpdated() != nil && detail.GetNumber() != 0 && detail.GetAppDescribed() == nil {
		return nil, fmt.Errorf("%w: decision %d updates an app without its manifest", ErrForged, d.GetNumber())
	}
	if err := errors.Join(s.checkErasure(d, detail), s.checkLoss(d, detail), s.checkRetention(d, detail)); err != nil {
		return nil, err
	}
	switch body := detail.GetBody().(type) {
	case *pb.DecisionDetail_AppDescribed:
		if touched == nil {
			return nil, fmt.Errorf("%w: decision %d describes no app", ErrForged, d.GetNumber())
		}
		if err := s.describe(d, touched, body.AppDescribed.GetManifest()); err != nil {
			return nil, err
		}
	case *pb.DecisionDetail_ReadsDecided:
		if touched == nil {
			if touched, err = s.standing(d, body.ReadsDecided.GetApp()); err != nil {
				return nil, err
			}
		}
		if touched.Number != body.ReadsDecided.GetApp() {
			return nil, fmt.Errorf("%w: decision %d speaks of two apps", ErrForged, d.GetNumber())
		}
		if err := setReads(d, touched, body.ReadsDecided.GetReads()); err != nil {
			return nil, err
		}
	case *pb.DecisionDetail_ObjectsDecided:
		if d.GetBody() != nil {
			return nil, fmt.Errorf("%w: decision %d decides two things", ErrForged, d.GetNumber())
		}
		if touched, err = s.standing(d, body.ObjectsDecided.GetApp()); err != nil {
			return nil, err
		}
		if err := setObjects(d, touched, body.ObjectsDecided); err != nil {
			return nil, err
		}
	case *pb.DecisionDetail_SourceOrderSet, *pb.DecisionDetail_PreferredUnitsSet, *pb.DecisionDetail_OwnerDeleted,
		*pb.DecisionDetail_DisclosureGranted, *pb.DecisionDetail_DisclosureRevoked, *pb.DecisionDetail_RetentionSet:
		if d.GetBody() != nil {
			return nil, fmt.Errorf("%w: decision %d decides two things", ErrForged, d.GetNumber())
		}
		if g := detail.GetDisclosureGranted(); g != nil {
			if _, err := s.standing(d, g.GetApp()); err != nil {
				return nil, err
			}
		}
		if slices.ContainsFunc(detail.GetOwnerDeleted().GetDeletions(), isNoDeletion) {
			return nil, fmt.Errorf("%w: decision %d deletes what no view can have", ErrForged, d.GetNumber())
		}
	}
	if touched != nil {
		touched.settle()
	}
	return touched, nil
}

// decided is follow without the detail.
func (s *State) decided(d *pb.Decision) (*App, error) {
	switch body := d.GetBody().(type) {
	case *pb.Decision_AppRegistered:
		r := body.AppRegistered
		if _, taken := s.byKey[r.GetKey()]; taken || r.GetKey() == "" {
			return nil, fmt.Errorf("%w: decision %d: the app's key is taken", ErrForged, d.GetNumber())
		}
		app := &App{
			Number: d.GetNumber(), Key: r.GetKey(), Importer: r.GetImporter(), Registered: d.GetTime(),
			explained: explainedOf(r.GetExplained()),
			shares:    map[uint32]bool{}, reads: map[uint32]Read{}, asked: map[uint32]bool{}, objects: map[uint32]*Objects{},
		}
		if err := app.credit(d, r); err != nil {
			return nil, err
		}
		return app, setShares(d, app, r.GetShares())
	case *pb.Decision_CredentialReplaced:
		app, err := s.standing(d, body.CredentialReplaced.GetApp())
		if err != nil {
			return nil, err
		}
		return app, app.credit(d, body.CredentialReplaced)
	case *pb.Decision_SharesDecided:
		app, err := s.standing(d, body.SharesDecided.GetApp())
		if err != nil {
			return nil, err
		}
		return app, setShares(d, app, body.SharesDecided.GetShares())
	case *pb.Decision_AppUpdated:
		app, err := s.standing(d, body.AppUpdated.GetApp())
		if err != nil {
			return nil, err
		}
		if len(d.GetDetailHash()) == 0 {
			return nil, fmt.Errorf("%w: decision %d updates an app without its manifest", ErrForged, d.GetNumber())
		}
		app.update(d.GetTime(), body.AppUpdated)
		return app, nil
	case *pb.Decision_AppRemoved:
		app, err := s.standing(d, body.AppRemoved.GetApp())
		if err != nil {
			return nil, err
		}
		app.Removed, app.shares, app.reads, app.asked, app.objects = true, nil, nil, nil, nil
		return app, nil
	case *pb.Decision_PolicySet:
		if !isPolicy(body.PolicySet) {
			return nil, fmt.Errorf("%w: decision %d sets no policy", ErrForged, d.GetNumber())
		}
	case *pb.Decision_KeyringReplaced:
		if len(body.KeyringReplaced.GetHash()) != sha256.Size {
			return nil, fmt.Errorf("%w: decision %d names no keyring", ErrForged, d.GetNumber())
		}
	}
	return nil, nil
}

func isPolicy(p *pb.PolicySet) bool {
	switch p.GetPlausibility() {
	case pb.Plausibility_PLAUSIBILITY_WARN, pb.Plausibility_PLAUSIBILITY_REFUSE:
		return true
	}
	return false
}

// standing returns a copy of an app that may be changed.
func (s *State) standing(d *pb.Decision, number uint64) (*App, error) {
	a, ok := s.apps[number]
	if !ok || a.Removed {
		return nil, fmt.Errorf("%w: decision %d speaks of app %d, which is not there", ErrForged, d.GetNumber(), number)
	}
	return a.clone(), nil
}

func setShares(d *pb.Decision, a *App, grants []*pb.ShareGrant) error {
	for _, g := range grants {
		if why := a.unexplainedShare(g); why != "" {
			return fmt.Errorf("%w: decision %d: %s", ErrForged, d.GetNumber(), why)
		}
		a.shares[g.GetType()] = g.GetAllowed()
	}
	return nil
}

func setReads(d *pb.Decision, a *App, grants []*pb.ReadGrant) error {
	for _, g := range grants {
		if why := a.unexplainedRead(g); why != "" {
			return fmt.Errorf("%w: decision %d: %s", ErrForged, d.GetNumber(), why)
		}
		if g.GetExtent() != pb.ReadExtent_READ_EXTENT_UNSPECIFIED {
			a.asked[g.GetType()] = true
		}
		switch g.GetExtent() {
		case pb.ReadExtent_READ_EXTENT_ALL:
			a.reads[g.GetType()] = Read{Extent: ExtentAll}
		case pb.ReadExtent_READ_EXTENT_SINCE:
			a.reads[g.GetType()] = Read{Extent: ExtentSince, Since: g.GetSince()}
		default:
			delete(a.reads, g.GetType())
		}
	}
	return nil
}

// isNoDeletion tells that no view takes a deletion, which would end the log there for all.
func isNoDeletion(d *pb.DeletedSamples) bool {
	return d.GetType() > math.MaxUint16 || d.GetAllTypes() && d.GetType() != 0 || slices.ContainsFunc(d.GetUuids(), func(id []byte) bool { return len(id) != 16 }) ||
		d.EndedBefore != nil && (len(d.GetUuids()) > 0 || d.From != nil || d.To != nil)
}

// Device returns the daemon that is enrolled to write the log, nil before there is one.
func (s *State) Device() *pb.DeviceEnrolled {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if len(s.devices) == 0 {
		return nil
	}
	return s.devices[len(s.devices)-1]
}

// Devices returns every daemon that was ever enrolled, the last one at the end.
func (s *State) Devices() []*pb.DeviceEnrolled {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.devices)
}

// Plausibility returns what becomes of values that are not plausible: a warning, unless
// the owner decided otherwise.
func (s *State) Plausibility() pb.Plausibility {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.policy
}

// Head returns the number and the hash of the last decision.
func (s *State) Head() (number uint64, hash []byte) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.number, s.head
}
