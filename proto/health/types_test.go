package health_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"healthledger/proto/catalog"
	"healthledger/proto/health"
	"healthledger/proto/health/healthtest"
	pb "healthledger/proto/healthledger/v1"
)

// Every type can be saved by an importer, and by an app too or there is a reason why not.
func TestEveryTypeCanBeSaved(t *testing.T) {
	examples := 8
	if drill {
		examples = 100
	}
	for _, ty := range catalog.All() {
		for n := range examples {
			s := healthtest.Example(ty, n)
			columns, err := health.Columns([]*pb.Sample{s}, healthtest.Importer)
			if err == nil {
				err = health.Validate(columns, healthtest.Importer)
			}
			if err != nil {
				t.Errorf("%s: an importer cannot save it: %v", ty, err)
			}
			_, err = health.Columns([]*pb.Sample{s}, health.Policy{})
			var fe *health.FieldError
			switch {
			case !ty.ReadOnly && err != nil:
				t.Errorf("%s: an app cannot save it: %v", ty, err)
			case ty.ReadOnly && (!errors.As(err, &fe) || fe.Field != "type" || fe.Value != ty.Short() || !strings.Contains(fe.Why, "only the system")):
				t.Errorf("%s: an app is refused without the reason: %v", ty, err)
			}
		}
	}
}

// An example is always the same, so that a test that found a fault finds it again.
func TestExamplesAreStable(t *testing.T) {
	for _, ty := range catalog.All() {
		if d := diff(healthtest.Example(ty, 7), healthtest.Example(ty, 7)); d != "" {
			t.Errorf("%s: %s", ty, d)
		}
	}
}

// Every row of the specification's list is here: as a type, as a word, as a metadata key.
func TestTheSpecificationsListIsCovered(t *testing.T) {
	// Beside the checkout, or two folders up from a worktree of it.
	f, err := os.Open(filepath.Join("..", "..", "..", "shared", "spec", "types.csv"))
	if err != nil {
		f, err = os.Open(filepath.Join("..", "..", "..", "..", "shared", "spec", "types.csv"))
	}
	if err != nil {
		t.Skip("the list of the specification is not here: ", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	word := map[string]string{
		"workoutActivityType": "workoutActivity", "workoutEventType": "workoutEvent",
		"stateOfMindLabel": "stateOfMindLabel", "stateOfMindAssociation": "stateOfMindAssociation",
	}
	for _, row := range rows[1:] {
		kind, identifier := row[0], row[1]
		switch vocabulary, isWord := word[kind]; {
		case isWord:
			if n, ok := catalog.Words(vocabulary).Value(identifier); !ok || row[5] != fmt.Sprint("raw=", n) {
				t.Errorf("the word %s of %s is %d, %v, want %s", identifier, vocabulary, n, ok, row[5])
			}
		case kind == "metadataKey":
			if _, ok := catalog.LookupMetadata(identifier); !ok {
				t.Errorf("no metadata key %s", identifier)
			}
		default:
			if _, ok := catalog.Lookup(identifier); !ok {
				t.Errorf("no type %s", identifier)
			}
		}
	}
}
