package healthautoexport

import (
	"healthledger/proto/catalog"
	"healthledger/proto/health"
	pb "healthledger/proto/healthledger/v1"

	"google.golang.org/protobuf/proto"
)

// members gathers the samples of a workout. What does not fit into it, since workouts are
// bounded and the app exports a point for every second, is saved beside it.
type members struct {
	workout *pb.Sample
	bytes   int
	beyond  []*pb.Sample
}

// maxMembers is how many bytes of members a workout gets; the rest of a body is for what
// is kept.
const maxMembers = 250 << 10

func newMembers(workout *pb.Sample) *members { return &members{workout: workout} }

// add puts a sample into the workout, or beside it. Payloads may go ahead, so they do not
// count.
func (m *members) add(s *pb.Sample) {
	size := 8 + proto.Size(&pb.Sample{Type: s.Type, Start: s.Start, End: s.End, Value: s.Value, Unit: s.Unit, Source: s.Source, Metadata: s.Metadata, Kept: s.Kept})
	if len(m.workout.Members) == health.MaxMembers || m.bytes+size > maxMembers {
		m.beyond = append(m.beyond, s)
		return
	}
	m.bytes += size
	m.workout.Members = append(m.workout.Members, s)
}

// seriesTypes are the types of arrays whose key is not the short name of a type.
var seriesTypes = map[string]string{
	"heartRateData": "heartRate", "heartRateRecovery": "heartRate", "activeEnergy": "activeEnergyBurned",
	"basalEnergy": "basalEnergyBurned", "restingEnergy": "basalEnergyBurned", "cyclingDistance": "distanceCycling",
	"swimDistance": "distanceSwimming", "swimmingDistance": "distanceSwimming", "swimStroke": "swimmingStrokeCount",
	"walkingAndRunningDistance": "distanceWalkingRunning", "walkingRunningDistance": "distanceWalkingRunning",
	"wheelchairDistance": "distanceWheelchair", "runningGroundContactTime": "runningGroundContactTime",
}

// series takes the arrays of points. An array with a point that is no sample stays, all of it.
func (p *parser) series(o *object, into *members) {
	for i := range o.fields {
		f := &o.fields[i]
		if f.taken || f.value[0] != '[' {
			continue
		}
		name := f.key
		if other, ok := seriesTypes[name]; ok {
			name = other
		}
		t, ok := catalog.Lookup(name)
		if !ok || t.Kind != catalog.Quantity {
			continue
		}
		if samples, ok := p.seriesPoints(t, f.value); ok {
			f.taken = true
			for _, s := range samples {
				into.add(s)
			}
		}
	}
}

// seriesPoints reads an array of points, each with its own units.
func (p *parser) seriesPoints(t *catalog.Type, raw []byte) (samples []*pb.Sample, ok bool) {
	m := &metric{typ: t}
	ok = true
	elements(raw, func(element []byte) bool {
		var made []*pb.Sample
		o, isObject := newObject(element)
		if ok = isObject; ok {
			var err error
			made, err = m.quantity(o)
			ok = err == nil
		}
		if ok {
			made[0].Kept = o.rest()
			ok = p.check(made[0]) == nil
			samples = append(samples, made...)
		}
		return ok
	})
	return samples, ok
}
