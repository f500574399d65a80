package query

import (
	"slices"

	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"

	"healthledger/projector/view"
	pb "healthledger/proto/healthledger/v1"
)

// uuidTest is fulfilled by samples with one of the UUIDs.
type uuidTest map[[16]byte]struct{}

func (pp *predicateParser) uuid(p *pb.UuidPredicate, path string) (test, error) {
	if err := pp.count(len(p.GetUuids()), path); err != nil {
		return nil, err
	}
	t := uuidTest{}
	for i, text := range p.Uuids {
		id, err := parseUUID(text, at(path, i))
		if err != nil {
			return nil, err
		}
		t[id] = struct{}{}
	}
	return t, nil
}

const uuidLength = 36

func parseUUID(text, path string) ([16]byte, error) {
	id, err := uuid.Parse(text)
	if err != nil || len(text) != uuidLength {
		return id, refuse(path, text, "not a UUID")
	}
	return id, nil
}

func (t uuidTest) holds(f *filter, source *view.Source, s *view.Sample) (bool, error) {
	id, err := f.writer.details.UUID(source.Type(), s)
	_, ok := t[id]
	return ok && err == nil, err
}

// originTest is fulfilled by what has such an origin. It is asked once for each.
type originTest struct{ fits func(*pb.Source) bool }

// originKey is an origin, as the view has it, before a test.
type originKey struct {
	test   *originTest
	origin *pb.Source
}

func (t *originTest) holds(f *filter, source *view.Source, _ *view.Sample) (bool, error) {
	key := originKey{t, source.Origin()}
	ok, asked := f.origins[key]
	if !asked {
		ok = t.fits(f.writer.origin(source))
		f.origins[key] = ok
	}
	return ok, nil
}

func (pp *predicateParser) source(p *pb.SourcePredicate, path string) (test, error) {
	if err := pp.count(len(p.GetSources()), path); err != nil {
		return nil, err
	}
	sources := p.Sources
	return &originTest{func(o *pb.Source) bool {
		return slices.ContainsFunc(sources, func(s *pb.Source) bool {
			return fitsText(s.GetName(), o.Name) && fitsText(s.GetApp(), o.App) && fitsText(s.GetImporter(), o.Importer) &&
				fitsText(s.GetVersion(), o.Version) && fitsText(s.GetProductType(), o.ProductType) && fitsText(s.GetOsVersion(), o.OsVersion)
		})
	}}, nil
}

// fitsText says whether a text is the one that is wanted; an empty wish fits any.
func fitsText(want, text string) bool { return want == "" || want == text }

func (pp *predicateParser) device(p *pb.DevicePredicate, path string) (test, error) {
	if err := pp.count(len(p.GetDevices()), path); err != nil {
		return nil, err
	}
	devices := p.Devices
	for i, d := range devices {
		if proto.Size(d) == 0 {
			return nil, refuse(at(path, i), "", "a device has at least one property")
		}
	}
	return &originTest{func(o *pb.Source) bool {
		return slices.ContainsFunc(devices, func(d *pb.Device) bool { return proto.Equal(d, o.Device) })
	}}, nil
}
