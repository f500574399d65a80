package export

// Report says what an export wrote, and what its format could not say.
type Report struct {
	// Samples written, by the short name of their type. Members of another sample that
	// are written with it only count under their own type.
	Samples map[string]uint64
	// LeftOut counts what is not in the export because the format has no words for it, by
	// a text that says what.
	LeftOut map[string]uint64
	// Changed counts what is in the export in a form that says less, likewise.
	Changed map[string]uint64

	progress func(samples uint64)
	total    uint64
}

// NewReport makes an empty one. The function, if any, is called now and then with the
// number of samples so far.
func NewReport(progress func(samples uint64)) *Report {
	return &Report{Samples: map[string]uint64{}, LeftOut: map[string]uint64{}, Changed: map[string]uint64{}, progress: progress}
}

// progressEvery is after how many samples progress is told.
const progressEvery = 1000

// Wrote counts a sample.
func (r *Report) Wrote(typeName string) {
	r.Samples[typeName]++
	r.total++
	if r.progress != nil && r.total%progressEvery == 0 {
		r.progress(r.total)
	}
}

// Total is the number of samples written.
func (r *Report) Total() uint64 { return r.total }
