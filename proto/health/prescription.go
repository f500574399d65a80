package health

import (
	"cmp"
	"strconv"

	pb "healthledger/proto/healthledger/v1"
)

// prescription checks a vision prescription. One that does not expire ends when it was
// issued, or at DistantFuture as HealthKit has it.
func (s subject) prescription(b *pb.Sample, v *pb.VisionPrescription) *FieldError {
	if err := needWord("type", "visionPrescription", &v.Type); err != nil {
		return err
	}
	if !v.Expires && s.end != s.start && s.end != DistantFuture {
		return refuse("expires", "false", "but it ends after it was issued")
	}
	if v.Type != "contacts" && v.Brand != "" && !s.policy.Importer {
		return refuse("brand", v.Brand, "only contact lenses have one")
	}
	return cmp.Or(
		checkText("brand", v.Brand),
		in("rightEye", s.lens(v.Type, v.RightEye)),
		in("leftEye", s.lens(v.Type, v.LeftEye)),
		s.attachments(b, v.Attachments),
	)
}

// lens checks what is prescribed for one eye, if anything is.
func (s subject) lens(typ string, l *pb.LensSpecification) *FieldError {
	if l == nil {
		return nil
	}
	if l.Sphere == nil && !s.policy.Importer {
		return refuse("sphere", "", "missing")
	}
	for _, f := range [...]struct {
		name string
		q    *pb.Quantity
		like string
		only string
	}{
		{"sphere", l.Sphere, "D", ""}, {"cylinder", l.Cylinder, "D", ""}, {"axis", l.Axis, "deg", ""},
		{"addPower", l.AddPower, "D", ""}, {"vertexDistance", l.VertexDistance, "mm", "glasses"},
		{"prismAmount", l.PrismAmount, "pD", "glasses"}, {"prismAngle", l.PrismAngle, "deg", "glasses"},
		{"farPupillaryDistance", l.FarPupillaryDistance, "mm", "glasses"},
		{"nearPupillaryDistance", l.NearPupillaryDistance, "mm", "glasses"},
		{"baseCurve", l.BaseCurve, "mm", "contacts"}, {"diameter", l.Diameter, "mm", "contacts"},
	} {
		if f.q != nil && f.only != "" && f.only != typ && !s.policy.Importer {
			return refuse(f.name, decimal(f.q.Value), "only "+f.only+" have one")
		}
		if err := amount(f.name, f.q, f.like); err != nil {
			return err
		}
	}
	return checkKept(l.Kept, s.policy)
}

// attachments checks that the files make up the payload, as far as it is here. An
// importer may know of files that it does not have.
func (s subject) attachments(b *pb.Sample, list []*pb.Attachment) *FieldError {
	seen, total := map[string]bool{}, uint64(0)
	if err := each("attachments", list, func(a *pb.Attachment) *FieldError {
		if err := cmp.Or(needText("identifier", a.Identifier), checkText("name", a.Name), checkText("contentType", a.ContentType)); err != nil {
			return err
		}
		if seen[a.Identifier] {
			return refuse("identifier", a.Identifier, "it is there twice")
		}
		if a.Size > MaxParts*MaxChunk {
			return refuse("size", strconv.FormatUint(a.Size, 10), "more than "+strconv.Itoa(MaxParts*MaxChunk)+" bytes")
		}
		seen[a.Identifier] = true
		total += a.Size
		return nil
	}); err != nil {
		return err
	}
	here := uint64(0)
	for _, c := range b.Payload {
		here += uint64(len(c.GetData()))
	}
	switch {
	case b.Upload != nil && len(list) == 0:
		return refuse("attachments", "", "missing; the payload are attachments")
	case b.Upload != nil, here == 0 && s.policy.Importer:
		return nil
	case here != total:
		return refuse("attachments", strconv.FormatUint(total, 10), "bytes long together, but the payload has "+strconv.FormatUint(here, 10))
	}
	return nil
}
