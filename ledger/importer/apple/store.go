package apple

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"

	"google.golang.org/protobuf/proto"

	"healthledger/ledger/importer/send"
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"
)

// Ledger is where an import goes: the client of an app.
type Ledger interface {
	// Save takes objects with their payloads, however large these are.
	Save(ctx context.Context, req *pb.SaveRequest) (*pb.SaveResponse, error)
	// SavePart sends a part of a payload ahead of its object. The import uses it for files
	// that are not to be in memory as a whole.
	SavePart(ctx context.Context, req *pb.SavePartRequest) (*pb.SavePartResponse, error)
}

// store sends objects and their payloads.
type store struct {
	ledger   Ledger
	sender   *send.Sender
	inFlight int
}

func newStore(ctx context.Context, ledger Ledger, inFlight int) *store {
	return &store{ledger, send.New(ctx, ledger.Save, inFlight), inFlight}
}

// add saves an object, or says why the ledger would refuse it. A payload that is too large
// for an object travels with it up to the client, which sends it ahead.
func (r *reader) add(s *pb.Sample) (why string, err error) {
	payloads, refused := lighten(s)
	if refused == nil {
		var columns []*pb.SampleColumns
		if columns, refused = health.Columns([]*pb.Sample{s}, policy); refused == nil {
			return "", r.send(columns, payloads)
		}
	}
	return "refused for its " + fieldOf(refused), nil
}

// save is add for an object that the ledger has to take.
func (r *reader) save(s *pb.Sample) error {
	why, err := r.add(s)
	if why != "" {
		return fmt.Errorf("an object of %s was made that is %s", s.Type, why)
	}
	return err
}

// refused says why the ledger would refuse an object as a member of another.
func (r *reader) refused(s *pb.Sample) (why string) {
	payload := s.Payload
	s.Payload = nil
	_, err := health.Columns([]*pb.Sample{s}, policy)
	s.Payload = payload
	if err != nil {
		return "refused for its " + fieldOf(err)
	}
	return ""
}

// send puts the one object of the columns into the batch, with its payloads.
func (r *reader) send(columns []*pb.SampleColumns, payloads [][]*pb.Chunk) error {
	for _, c := range columns {
		t, _ := catalog.ByCode(c.Type)
		for _, row := range health.Rows(c) {
			if payloads != nil {
				if err := load(&row, payloads); err != nil {
					return err
				}
			}
			if err := r.batch.Add(t, c.Unit, c.Source, &row); err != nil {
				return err
			}
		}
	}
	return nil
}

// lightBytes is the size up to which an object is checked with its payloads.
const lightBytes = 128 << 10

// placeholder stands for payloads while the object is checked.
var placeholder = &pb.Upload{Id: make([]byte, 16), Parts: 1}

// lighten checks the payloads of a large object and its members and takes them out. They
// are in the order of the object and its members; nil: the object is not large.
func lighten(s *pb.Sample) ([][]*pb.Chunk, error) {
	if proto.Size(s) <= lightBytes {
		return nil, nil
	}
	payloads := make([][]*pb.Chunk, 1+len(s.Members))
	for i, one := range append([]*pb.Sample{s}, s.Members...) {
		if len(one.Payload) == 0 {
			continue
		}
		t, ok := catalog.Lookup(one.Type)
		if !ok {
			continue
		}
		for _, c := range one.Payload {
			if err := health.CheckChunk(t, c); err != nil {
				return nil, err
			}
		}
		payloads[i], one.Payload, one.Upload = one.Payload, nil, placeholder
	}
	return payloads, nil
}

// load puts payloads back into the body of a checked row.
func load(row *health.Row, payloads [][]*pb.Chunk) error {
	body, err := health.ParseBody(row.Body)
	if err != nil {
		return err
	}
	for i, one := range append([]*pb.Sample{body}, body.GetMembers()...) {
		if payloads[i] != nil {
			one.Payload, one.Upload = payloads[i], nil
		}
	}
	row.Body, err = health.AppendBody(nil, body)
	return err
}

// ahead sends a file as the payload of an object of a type, without having it in memory
// as a whole. Its name is made of its content, so that the same file gives the same object.
func (s *store) ahead(t *catalog.Type, open func() (io.ReadCloser, error)) (*pb.Upload, error) {
	hash := sha256.New()
	io.WriteString(hash, "healthledger upload of a file "+t.Identifier+" ")
	if err := copyTo(hash, open); err != nil {
		return nil, err
	}
	upload := &pb.Upload{Id: hash.Sum(nil)[:16]}
	from, err := open()
	if err != nil {
		return nil, err
	}
	defer from.Close()
	return upload, s.parts(t, upload, pieces(from))
}

func copyTo(to io.Writer, open func() (io.ReadCloser, error)) error {
	from, err := open()
	if err != nil {
		return err
	}
	defer from.Close()
	_, err = io.Copy(to, from)
	return err
}

// pieces cuts a file into chunks.
func pieces(from io.Reader) iter.Seq2[*pb.Chunk, error] {
	return func(yield func(*pb.Chunk, error) bool) {
		for {
			data := make([]byte, chunkBytes)
			n, err := io.ReadFull(from, data)
			last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
			if err != nil && !last {
				yield(nil, err)
				return
			}
			if n > 0 && !yield(&pb.Chunk{Data: data[:n]}, nil) || last {
				return
			}
		}
	}
}

// parts sends the parts of a payload, a few at a time, and counts them in the upload. It
// returns when all are durable, since the object may follow only then.
func (s *store) parts(t *catalog.Type, upload *pb.Upload, chunks iter.Seq2[*pb.Chunk, error]) error {
	ctx, cancel := context.WithCancelCause(s.sender.Context())
	defer cancel(nil)
	slots := make(chan struct{}, s.inFlight)
	var wait sync.WaitGroup
	for chunk, err := range chunks {
		if err != nil {
			cancel(err)
		}
		if ctx.Err() != nil {
			break
		}
		slots <- struct{}{}
		request := &pb.SavePartRequest{Type: t.Short(), Upload: upload.Id, Number: upload.Parts, Chunk: chunk}
		wait.Go(func() {
			if _, err := s.ledger.SavePart(ctx, request); err != nil {
				cancel(fmt.Errorf("save a part: %w", err))
			}
			<-slots
		})
		upload.Parts++
	}
	wait.Wait()
	return context.Cause(ctx)
}
