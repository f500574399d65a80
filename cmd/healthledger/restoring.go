package main

import (
	"context"

	"healthledger/ledger/backup"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/ledger/tree"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

// restoring hands a daemon what a store is made of, in messages of a good size.
type restoring struct {
	*client.OwnerClient
	run      string
	keys     []*pb.KeyFile
	segments [][]byte
	size     int
}

// messageBytes is about what a message carries.
const messageBytes = 768 << 10

func beginRestore(ctx context.Context, address serve.LocalAddress, store seal.StoreID) (*restoring, error) {
	o, err := client.DialOwner(ctx, address.Credentials(), store.String(), "")
	if err != nil {
		return nil, err
	}
	r := &restoring{OwnerClient: o}
	if err := r.call(ctx, &pb.RestoreStoreRequest{Step: &pb.RestoreStoreRequest_Begin{Begin: &pb.RestoreBegin{}}}); err != nil {
		o.Close()
		return nil, err
	}
	return r, nil
}

func (r *restoring) call(ctx context.Context, req *pb.RestoreStoreRequest) error {
	req.Run = r.run
	resp, err := r.Owner().RestoreStore(ctx, req)
	if err == nil {
		r.run = resp.GetRun()
	}
	return err
}

func (r *restoring) key(ctx context.Context, f backup.KeyFile) error {
	if err := r.room(ctx, len(f.Content)); err != nil {
		return err
	}
	r.keys = append(r.keys, &pb.KeyFile{Name: f.Name, Content: f.Content})
	return nil
}

func (r *restoring) segment(ctx context.Context, payload []byte) error {
	if err := r.room(ctx, len(payload)); err != nil {
		return err
	}
	r.segments = append(r.segments, payload)
	return nil
}

// refilling is the visitor that fills the log.
type refilling struct {
	*restoring
	ctx context.Context
}

func (r *refilling) Segment(_ uint64, payload []byte) error { return r.segment(r.ctx, payload) }

func (r *refilling) Checkpoint([]byte) error { return nil }

func (r *refilling) Gone(_, to uint64, decisions []*pb.SignedDecision) error {
	if err := r.flush(r.ctx); err != nil {
		return err
	}
	return r.call(r.ctx, &pb.RestoreStoreRequest{Step: &pb.RestoreStoreRequest_Gone{Gone: &pb.RestoreGone{To: to, Decisions: decisions}}})
}

// room sends what has come together before it is more than a message carries.
func (r *restoring) room(ctx context.Context, more int) error {
	if r.size += more; r.size <= messageBytes {
		return nil
	}
	if err := r.flush(ctx); err != nil {
		return err
	}
	r.size = more
	return nil
}

func (r *restoring) flush(ctx context.Context) error {
	if len(r.keys) > 0 {
		if err := r.call(ctx, &pb.RestoreStoreRequest{Step: &pb.RestoreStoreRequest_Keys{Keys: &pb.KeyFiles{Files: r.keys}}}); err != nil {
			return err
		}
	}
	if len(r.segments) > 0 {
		if err := r.call(ctx, &pb.RestoreStoreRequest{Step: &pb.RestoreStoreRequest_Segments{Segments: &pb.RestoreSegments{Payloads: r.segments}}}); err != nil {
			return err
		}
	}
	r.keys, r.segments, r.size = nil, nil, 0
	return nil
}

func (r *restoring) end(ctx context.Context, size uint64, root tree.Hash) error {
	if err := r.flush(ctx); err != nil {
		return err
	}
	return r.call(ctx, &pb.RestoreStoreRequest{Step: &pb.RestoreStoreRequest_End{End: &pb.RestoreEnd{Size: size, Root: root[:]}}})
}
