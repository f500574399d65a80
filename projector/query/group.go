package query

import (
	"cmp"
	"slices"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"healthledger/authz"
	"healthledger/projector/view"
	"healthledger/proto/catalog"
	pb "healthledger/proto/healthledger/v1"
)

// class is what kind of source comes before which, unless the owner says otherwise
// (spec/healthkit.md, section 6.1).
type class int

const (
	byHand class = iota
	watch
	phone
	other
)

// group is a source in the sense of the owner: an app and a name, whatever its revisions
// and devices.
type group struct {
	name  pb.SourceName
	place int // in the owner's order
	class class
	// app is the number of the app that writes it; of several the one that came last.
	app     uint64
	sources []view.Source
	bytes   int // of an answer, wherever it names the group
}

func (g *group) source() *pb.Source { return &pb.Source{App: g.name.App, Name: g.name.Name} }

// groups returns what the scope may see of a type, in the order in which sources are merged:
// first as the owner says, then what was entered by hand, watches, phones and all others,
// and among equals the app that was registered last, then the name.
func (e *Engine) groups(s *view.Snapshot, scope authz.Scope, t *catalog.Type, p period) []*group {
	type key struct{ app, name string }
	places := map[key]int{}
	var order []*pb.SourceName
	if e.options.SourceOrder != nil {
		order = e.options.SourceOrder(t.Code)
	}
	for i, name := range order {
		places[key{name.GetApp(), name.GetName()}] = i
	}
	byName := map[key]*group{}
	var groups []*group
	for _, source := range sources(s, scope, t, p) {
		origin := source.Origin()
		app := origin.GetApp()
		if app == "" {
			app = e.options.BundleID(source.App())
		}
		k := key{app, origin.GetName()}
		g, ok := byName[k]
		if !ok {
			g = &group{class: other, place: len(order)}
			g.name.App, g.name.Name = k.app, k.name
			g.bytes = protowire.SizeTag(1) + protowire.SizeBytes(proto.Size(g.source()))
			if place, ok := places[k]; ok {
				g.place = place
			}
			byName[k] = g
			groups = append(groups, g)
		}
		g.class, g.app = min(g.class, classOf(app, origin)), max(g.app, source.App())
		g.sources = append(g.sources, source)
	}
	slices.SortFunc(groups, func(a, b *group) int {
		return cmp.Or(
			cmp.Compare(a.place, b.place), cmp.Compare(a.class, b.class), cmp.Compare(b.app, a.app),
			cmp.Compare(a.name.Name, b.name.Name), cmp.Compare(a.name.App, b.name.App),
		)
	})
	return groups
}

// classOf tells by whom a value was measured. Other apps name the device that they run on
// as well, so only Apple's own and what names Apple's device as that which measured count.
func classOf(app string, s *pb.Source) class {
	app = strings.ToLower(app)
	if app == "com.apple.health" {
		return byHand
	}
	models := []string{""}
	if strings.HasPrefix(app, "com.apple.health.") {
		models = append(models, s.GetProductType())
	}
	if d := s.GetDevice(); strings.HasPrefix(d.GetManufacturer(), "Apple") {
		models = append(models, d.GetModel(), d.GetHardwareVersion())
	}
	for _, model := range models {
		switch {
		case strings.HasPrefix(model, "Watch"):
			return watch
		case strings.HasPrefix(model, "iPhone"):
			return phone
		}
	}
	return other
}
