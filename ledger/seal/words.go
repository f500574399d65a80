package seal

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tyler-smith/go-bip39"
)

// recoveryWords is how many words stand for 256 bits and a checksum of 8.
const recoveryWords = 24

// ErrWrongWords means that the recovery words are mistyped, or those of another
// store. Its text names a mistyped word by position, never by content: messages
// end up in logs.
var ErrWrongWords = errors.New("wrong recovery words")

// wordsOf writes 32 random bytes as English BIP-39 words with one space
// between. It must be called inside Do.
func wordsOf(entropy []byte) (string, error) { return bip39.NewMnemonic(entropy) }

// CheckWords finds mistyped words before they go anywhere. The error is
// ErrWrongWords; whose words they are only the keyring tells.
func CheckWords(words []byte) error {
	entropy, err := parseWords(words)
	entropy.Destroy()
	return err
}

// parseWords is the inverse of wordsOf. Case and white space do not matter.
func parseWords(words []byte) (*Secret, error) {
	var entropy *Secret
	var err error
	Do(func() {
		list := strings.Fields(strings.ToLower(string(words)))
		if len(list) != recoveryWords {
			err = fmt.Errorf("%w: %d words instead of %d", ErrWrongWords, len(list), recoveryWords)
			return
		}
		for i, word := range list {
			if _, known := bip39.GetWordIndex(word); !known {
				err = fmt.Errorf("%w: word %d is not in the list of recovery words", ErrWrongWords, i+1)
				return
			}
		}
		b, e := bip39.EntropyFromMnemonic(strings.Join(list, " "))
		if e != nil {
			// The library's error is not passed on: it can quote a word.
			err = fmt.Errorf("%w: a word or their order is wrong (checksum)", ErrWrongWords)
			return
		}
		entropy = SecretFrom(b)
	})
	return entropy, err
}
