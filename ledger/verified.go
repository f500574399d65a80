package ledger

import (
	"os"
	"path/filepath"
	"slices"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"healthledger/ledger/log"
	pb "healthledger/proto/healthledger/v1"
)

// Audited takes what a projector has found that opened the log. Of a segment that is at fault
// without a key already, that is not said once more.
func (v *Verification) Audited(a *pb.AuditLogResponse) {
	v.opened, v.timeBack = a.GetOpened(), a.GetTimeBack()
	known := slices.Clone(v.faults)
	for _, f := range a.GetFaults() {
		for sequence := f.GetFrom(); sequence <= f.GetTo(); sequence++ {
			if !slices.ContainsFunc(known, func(k *pb.LogFault) bool {
				return k.GetKind() != faultCheckpoint && k.GetKind() != faultHead && k.GetFrom() <= sequence && sequence <= k.GetTo()
			}) {
				v.fault(f.GetKind(), sequence, sequence, f.GetWhy())
			}
		}
	}
}

// Remember keeps how a verification ended for the owner to be told.
func (v *Verification) Remember(r *pb.VerifyLogResponse) error {
	content, err := proto.Marshal(&pb.Verified{
		Time: timestamppb.Now(), Segments: r.GetTotal(), Faults: uint64(len(r.GetFaults())) + r.GetMoreFaults(), Opened: r.GetOpened(),
	})
	if err != nil {
		return err
	}
	return log.WriteFile(v.verified, content)
}

// Verified returns how the last verification ended, nil: nobody has verified the log.
func (s *Store) Verified() *pb.Verified {
	content, err := os.ReadFile(filepath.Join(s.path, "verified"))
	if err != nil {
		return nil
	}
	last := &pb.Verified{}
	if proto.Unmarshal(content, last) != nil {
		return nil
	}
	return last
}
