package healthautoexport

import (
	"context"
	"fmt"
	"io"

	"healthledger/ledger/importer/send"
)

// Import reads documents and saves their samples. The report is good also when there is
// an error: one of Parse or of saving. What was saved before stays, and importing again
// saves the rest.
func Import(ctx context.Context, r io.Reader, save send.Func, opts Options) (Report, error) {
	sender := send.New(ctx, save, inFlight)
	batch := send.NewBatch(sender)
	report, err := Parse(r, batch.AddSample, opts)
	// What came before a flaw of the document is good.
	flushing := batch.Flush()
	if closing := sender.Close(); closing != nil {
		err = closing // the cause, not its effect on the reader
	} else if err == nil {
		err = flushing
	}
	report.Saved = sender.Saved()
	if err != nil {
		return report, fmt.Errorf("%w (%d samples were saved before; importing again is safe: nothing is stored twice)", err, report.Saved)
	}
	return report, nil
}

// inFlight is how many saves run at the same time.
const inFlight = 4
