package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"connectrpc.com/connect"
	pb "healthledger/proto/healthledger/v1"
)

// Reasons of errors. They are stable: programs decide by them.
const (
	// ReasonStoreLocked: the store is locked; nothing else was looked at.
	ReasonStoreLocked = "STORE_LOCKED"
	// ReasonShareDenied: the owner does not let the app write the type.
	ReasonShareDenied = "SHARE_DENIED"
	// ReasonShareNotDetermined: the owner has not decided yet.
	ReasonShareNotDetermined = "SHARE_NOT_DETERMINED"
	// ReasonInvalidSample: index, field, value and why are in the detail.
	ReasonInvalidSample = "INVALID_SAMPLE"
	// ReasonInvalidArgument: the request is not what the method takes.
	ReasonInvalidArgument = "INVALID_ARGUMENT"
	// ReasonTooLarge: the request or the answer is larger than a message may be.
	ReasonTooLarge = "TOO_LARGE"
	// ReasonUnauthenticated: no or no longer valid credentials or session.
	ReasonUnauthenticated = "UNAUTHENTICATED"
	// ReasonPermissionDenied: the caller may not call this.
	ReasonPermissionDenied = "PERMISSION_DENIED"
	// ReasonWrongPassphrase: the passphrase opens nothing.
	ReasonWrongPassphrase = "WRONG_PASSPHRASE"
	// ReasonReauthenticate: the passphrase is needed again.
	ReasonReauthenticate = "REAUTHENTICATE"
	// ReasonNoData: there is nothing to answer with.
	ReasonNoData = "NO_DATA"
	// ReasonResyncNeeded: the anchor is too old.
	ReasonResyncNeeded = "RESYNC_NEEDED"
	// ReasonQuotaExceeded: the caller has used up what it may use; RetryAfter says for how
	// long.
	ReasonQuotaExceeded = "QUOTA_EXCEEDED"
	// ReasonBusy: too much is under way; trying again soon is right.
	ReasonBusy = "BUSY"
	// ReasonDataLoss: the log or a key is damaged or missing.
	ReasonDataLoss = "DATA_LOSS"
	// ReasonNoSpace: the disk is full or nearly so; when there is room again, the same goes through.
	ReasonNoSpace = "NO_SPACE"
	// ReasonNotFound: there is no such thing.
	ReasonNotFound = "NOT_FOUND"
	// ReasonAlreadyExists: there is one already.
	ReasonAlreadyExists = "ALREADY_EXISTS"
	// ReasonFailedPrecondition: not in this state.
	ReasonFailedPrecondition = "FAILED_PRECONDITION"
	// ReasonUnavailable: the daemon does not answer, or is going down.
	ReasonUnavailable = "UNAVAILABLE"
	// ReasonUnimplemented: there is no such method.
	ReasonUnimplemented = "UNIMPLEMENTED"
	// ReasonCanceled: the caller gave up.
	ReasonCanceled = "CANCELED"
	// ReasonDeadlineExceeded: the caller's time is over; what was asked for may
	// have happened.
	ReasonDeadlineExceeded = "DEADLINE_EXCEEDED"
	// ReasonInternal: a fault of the daemon; its log says more.
	ReasonInternal = "INTERNAL"
)

// longest texts on the wire, in bytes.
const (
	maxMessage = 512
	maxValue   = 128
	maxWhy     = 512
)

// Error makes an error for a caller. The detail may be nil: the reason then
// follows from the code. The formatted text is the caller's to read, except with
// the codes internal and unknown: there it is the cause, which stays on this side
// (errors.Unwrap twice finds it, for the log).
func Error(code connect.Code, detail *pb.ErrorDetail, format string, args ...any) *connect.Error {
	cause := fmt.Errorf(format, args...)
	if hidden(code) {
		return Internal(cause)
	}
	return attach(connect.NewError(code, cause), code, detail)
}

// StoreLocked is the one locked error: the same for every app, type and grant.
func StoreLocked() *connect.Error {
	return Error(connect.CodeFailedPrecondition, &pb.ErrorDetail{Reason: ReasonStoreLocked}, "the store is locked")
}

// InvalidArgument refuses a field of a request.
func InvalidArgument(field, why string) *connect.Error { return InvalidValue(field, "", why) }

// InvalidValue refuses a field of a request for the value it has.
func InvalidValue(field, value, why string) *connect.Error {
	detail := &pb.ErrorDetail{Reason: ReasonInvalidArgument, Field: field, Value: value, Why: why}
	if value == "" {
		return Error(connect.CodeInvalidArgument, detail, "%s: %s", field, why)
	}
	return Error(connect.CodeInvalidArgument, detail, "%s %s: %s", field, value, why)
}

// Internal hides an error from the caller and keeps it for the log.
func Internal(cause error) *connect.Error {
	return attach(connect.NewError(connect.CodeInternal, hiddenError{cause}), connect.CodeInternal, nil)
}

// hiddenError says nothing about its cause.
type hiddenError struct{ cause error }

func (hiddenError) Error() string   { return "internal error" }
func (e hiddenError) Unwrap() error { return e.cause }

func hidden(code connect.Code) bool {
	return code == connect.CodeInternal || code == connect.CodeUnknown || code < connect.CodeCanceled || code > connect.CodeUnauthenticated
}

func attach(err *connect.Error, code connect.Code, detail *pb.ErrorDetail) *connect.Error {
	if detail == nil {
		detail = &pb.ErrorDetail{}
	}
	detail = &pb.ErrorDetail{
		Reason: printable(detail.Reason, maxValue),
		Index:  detail.Index,
		Field:  printable(detail.Field, maxValue),
		Value:  printable(detail.Value, maxValue),
		Why:    printable(detail.Why, maxWhy),

		RetryAfterMs: detail.RetryAfterMs,
	}
	if detail.Reason == "" {
		detail.Reason = defaultReason(code)
	}
	// All strings are valid UTF-8 by now, nothing else can fail.
	if d, failed := connect.NewErrorDetail(detail); failed == nil {
		err.AddDetail(d)
	}
	return err
}

func defaultReason(code connect.Code) string {
	switch code {
	case connect.CodeResourceExhausted:
		return ReasonQuotaExceeded
	case connect.CodeOutOfRange:
		return ReasonInvalidArgument
	case connect.CodeAborted:
		return ReasonBusy
	}
	if hidden(code) {
		return ReasonInternal
	}
	return strings.ToUpper(code.String())
}

// printable returns s on one line, as valid UTF-8 of at most limit bytes, without
// space around it.
func printable(s string, limit int) string {
	clean := len(s) <= limit
	for i := 0; clean && i < len(s); i++ {
		clean = s[i] > ' ' && s[i] < 0x7f || s[i] == ' ' && i > 0 && i < len(s)-1
	}
	if clean {
		return s
	}
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	s = strings.TrimSpace(s)
	if len(s) <= limit {
		return s
	}
	cut := limit - len("…")
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return strings.TrimSpace(s[:cut]) + "…"
}

// Detail returns the detail of an error that came from a service or goes to a
// caller, or nil.
func Detail(err error) *pb.ErrorDetail {
	var failure *connect.Error
	if !errors.As(err, &failure) || failure == nil {
		return nil
	}
	for _, d := range failure.Details() {
		value, failed := d.Value()
		if failed != nil {
			continue
		}
		if detail, ok := value.(*pb.ErrorDetail); ok {
			return detail
		}
	}
	return nil
}

// Reason returns the reason of an error, or "" if it has none.
func Reason(err error) string { return Detail(err).GetReason() }

// QuotaExceeded refuses a caller that has used up what it may use, until then.
func QuotaExceeded(retryAfter time.Duration) *connect.Error {
	ms := min(max((retryAfter+time.Millisecond-1)/time.Millisecond, 1), math.MaxUint32)
	return Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: ReasonQuotaExceeded, RetryAfterMs: uint32(ms)},
		"more than this app may ask for: try again in %d ms", ms)
}

// RetryAfter returns when the caller that was refused with an error may try again, 0 if
// the error does not say so.
func RetryAfter(err error) time.Duration {
	return time.Duration(Detail(err).GetRetryAfterMs()) * time.Millisecond
}

// Public returns what a caller may see of an error: a *connect.Error with a detail
// is seen as it is, what wraps it is dropped; an ended context says so; everything
// else is an internal error without inner text. Public(nil) is nil.
func Public(err error) *connect.Error {
	if err == nil {
		return nil
	}
	var failure *connect.Error
	switch {
	case errors.As(err, &failure) && failure != nil:
		if hidden(failure.Code()) {
			return Internal(err)
		}
		if Detail(failure) == nil {
			return attach(connect.NewError(failure.Code(), errors.New(failure.Message())), failure.Code(), nil)
		}
		return failure
	case errors.Is(err, context.Canceled):
		return Error(connect.CodeCanceled, nil, "the call was given up")
	case errors.Is(err, context.DeadlineExceeded):
		return Error(connect.CodeDeadlineExceeded, nil, "the call took too long")
	}
	return Internal(err)
}

// encodeError splits an error into what travels: the code's name, one line of text
// and the detail in the encoding of the request.
func encodeError(err error, encoding Encoding) (code, text string, body []byte) {
	failure := Public(err)
	detail := Detail(failure)
	body, failed := encoding.Marshal(detail)
	if failed != nil {
		// A detail that somebody else made, with strings that are not UTF-8.
		body, _ = encoding.Marshal(&pb.ErrorDetail{Reason: defaultReason(failure.Code())})
	}
	text = printable(failure.Message(), maxMessage)
	if text == "" {
		text = failure.Code().String()
	}
	return failure.Code().String(), text, body
}

// decodeError is the inverse of encodeError.
func decodeError(code, text string, body []byte, encoding Encoding) *connect.Error {
	var c connect.Code
	if err := c.UnmarshalText([]byte(code)); err != nil {
		c = connect.CodeUnknown
	}
	failure := connect.NewWireError(c, errors.New(text))
	detail := new(pb.ErrorDetail)
	if err := encoding.Unmarshal(body, detail); err != nil {
		detail = nil
	}
	return attach(failure, c, detail)
}
