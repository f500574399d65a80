package serve

import (
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// A request, legal or not, is answered the same in every lock state, and so is what the app
// may write: locked, the daemon knows what a manifest explains without opening it.
func TestAskingIsAnsweredAlikeLockedAndUnlocked(t *testing.T) {
	f := newFront(t)
	// What is recorded of refusals is not to be counted.
	k, err := f.keeper(f.store.ID())
	if err != nil {
		t.Fatal(err)
	}
	s := newShelf()
	close(s.let)
	k.refusals = s.refusals(time.Now)
	answers := func() (all []string) {
		t.Helper()
		for _, req := range []*pb.RequestAuthorizationRequest{
			{Share: []string{"stepCount", "heartRate"}}, {}, {Share: []string{"bloodPressure"}}, {Share: []string{"noSuchType"}},
			{Read: []string{"stepCount"}}, {Read: []string{"visionPrescription"}},
		} {
			before, _, _ := f.store.Head()
			_, err := f.app.Health().RequestAuthorization(t.Context(), req)
			if after, _, _ := f.store.Head(); (after == before+1) != (err == nil) || after > before+1 {
				t.Errorf("%v: %d segments, %v", req, after-before, err)
			}
			all = append(all, rpc.Detail(err).String())
		}
		for _, types := range [][]string{{"stepCount", "bloodPressure"}, {"noSuchType"}, make([]string, maxTypes+1)} {
			resp, err := f.app.Health().GetAuthorizationStatus(t.Context(), &pb.GetAuthorizationStatusRequest{Types: types})
			all = append(all, resp.String(), rpc.Detail(err).String())
		}
		return all
	}
	locked := answers()
	f.unlock(t)
	for i, answer := range answers() {
		if answer != locked[i] {
			t.Errorf("unlocked: %s, not %s", answer, locked[i])
		}
	}
	// The importer explains why it writes, and reads nothing.
	if locked[0] != "<nil>" || locked[4] == "<nil>" {
		t.Errorf("%q", locked)
	}
	want := &pb.GetAuthorizationStatusResponse{Statuses: []*pb.AuthorizationStatus{
		{Type: "stepCount", Share: pb.ShareStatus_SHARE_STATUS_AUTHORIZED}, {Type: "bloodPressure", Share: pb.ShareStatus_SHARE_STATUS_NOT_DETERMINED},
	}}
	resp, err := f.app.Health().GetAuthorizationStatus(t.Context(), &pb.GetAuthorizationStatusRequest{Types: []string{"HKQuantityTypeIdentifierStepCount", "bloodPressure"}})
	if err != nil || !proto.Equal(resp, want) {
		t.Errorf("%v, %v", resp, err)
	}
}

func TestOwnerAsksNobody(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	health := f.owner.Health()
	_, asked := health.RequestAuthorization(t.Context(), &pb.RequestAuthorizationRequest{Read: []string{"stepCount"}})
	_, told := health.GetAuthorizationStatus(t.Context(), &pb.GetAuthorizationStatusRequest{Types: []string{"stepCount"}})
	_, pending := health.GetRequestStatus(t.Context(), &pb.GetRequestStatusRequest{Read: []string{"stepCount"}})
	for _, err := range []error{asked, told, pending} {
		if rpc.Reason(err) != rpc.ReasonPermissionDenied {
			t.Error(err)
		}
	}
}

// What an app may not even ask for is refused before anything is read.
func TestStatusOfAnIllegalRequestIsAHardFault(t *testing.T) {
	f := newFront(t)
	f.unlock(t)
	for _, req := range []*pb.GetRequestStatusRequest{{}, {Read: []string{"stepCount"}}, {Share: []string{"bloodPressure"}}} {
		if _, err := f.app.Health().GetRequestStatus(t.Context(), req); rpc.Reason(err) != rpc.ReasonInvalidArgument {
			t.Errorf("%s: %v: %v", ledger.ImporterID, req, err)
		}
	}
}
