package ledger

import (
	"context"
	"encoding/binary"
	"maps"
	"slices"

	"healthledger/authz"
	"healthledger/ledger/seal"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
	"healthledger/proto/rpc"
)

// SetUpdates appends how often an app wants to be told that a type has changed. It
// returns after the fsync, whatever the lock state is. Any type will do: what the app may
// see of it is decided when there is something to tell, and nothing is said about it here.
//
// Errors: INVALID_ARGUMENT, NO_SPACE, UNAVAILABLE.
func (s *Store) SetUpdates(ctx context.Context, app *authz.App, req *pb.SetUpdatesRequest) (*pb.SetUpdatesResponse, error) {
	t, ok := catalog.Lookup(req.GetType())
	if !ok {
		return nil, rpc.InvalidArgument("type", "no such type")
	}
	if f := req.GetFrequency(); f < pb.Frequency_FREQUENCY_NEVER || f > pb.Frequency_FREQUENCY_WEEKLY {
		return nil, rpc.InvalidArgument("frequency", "no such frequency")
	}
	_, err := s.put(ctx, app, anyApp, &pb.Event{Body: &pb.Event_UpdatesSet{UpdatesSet: &pb.UpdatesSet{
		App: app.Number, Type: t.Code, Frequency: req.GetFrequency(),
	}}})
	if err != nil {
		return nil, err
	}
	return &pb.SetUpdatesResponse{}, nil
}

// AckUpdates appends that an app has dealt with updates, of each type with the last one
// named, in one segment. It returns after the fsync, whatever the lock state is.
// Acknowledging again changes nothing.
//
// Errors: INVALID_ARGUMENT, alike for everything that is no token of the app's; NO_SPACE,
// UNAVAILABLE.
func (s *Store) AckUpdates(ctx context.Context, app *authz.App, req *pb.AckUpdatesRequest) (*pb.AckUpdatesResponse, error) {
	if len(req.GetTokens()) == 0 {
		return nil, rpc.InvalidArgument("tokens", "it names no update")
	}
	last := map[uint32]uint64{}
	for _, token := range req.GetTokens() {
		code, sequence, err := s.openUpdate(app, token)
		if err != nil {
			return nil, rpc.InvalidArgument("tokens", "not the token of an update of this app")
		}
		last[code] = max(last[code], sequence)
	}
	var events []*pb.Event
	for _, code := range slices.Sorted(maps.Keys(last)) {
		events = append(events, &pb.Event{Body: &pb.Event_UpdatesAcked{UpdatesAcked: &pb.UpdatesAcked{
			App: app.Number, Type: code, Sequence: last[code],
		}}})
	}
	if _, err := s.put(ctx, app, anyApp, events...); err != nil {
		return nil, err
	}
	return &pb.AckUpdatesResponse{}, nil
}

// anyApp lets every app that there is.
func anyApp(*authz.App) error { return nil }

// Update is what an app is told: that a type has changed, up to the segment with this
// sequence, which only the daemon finds in the token.
func (s *Store) Update(app *authz.App, t *catalog.Type, sequence uint64) (*pb.Update, error) {
	token, err := s.writer.Load().updates.Seal(s.tokenContext(app), appendUpdate(nil, t.Code, sequence))
	if err != nil {
		return nil, err
	}
	return &pb.Update{Type: t.Short(), Token: token}, nil
}

func (s *Store) openUpdate(app *authz.App, token string) (code uint32, sequence uint64, err error) {
	plain, err := s.writer.Load().updates.Open(s.tokenContext(app), token)
	if err != nil {
		return 0, 0, err
	}
	code, sequence, ok := readUpdate(plain)
	if !ok {
		return 0, 0, seal.ErrToken
	}
	return code, sequence, nil
}

func appendUpdate(b []byte, code uint32, sequence uint64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint32(b, code), sequence)
}

func readUpdate(b []byte) (code uint32, sequence uint64, ok bool) {
	if len(b) != 4+8 {
		return 0, 0, false
	}
	return binary.BigEndian.Uint32(b), binary.BigEndian.Uint64(b[4:]), true
}
