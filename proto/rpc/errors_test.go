package rpc

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"pgregory.net/rapid"

	pb "healthledger/proto/healthledger/v1"
)

func drawDetail(t *rapid.T) *pb.ErrorDetail {
	text := rapid.OneOf(rapid.String(), rapid.Just("ä\xff\r\nb"), rapid.StringN(0, 900, -1))
	return &pb.ErrorDetail{
		Reason: rapid.SampledFrom([]string{"", ReasonStoreLocked, ReasonInvalidSample, "SOMETHING_NEW"}).Draw(t, "reason"),
		Index:  rapid.Uint32().Draw(t, "index"),
		Field:  text.Draw(t, "field"),
		Value:  text.Draw(t, "value"),
		Why:    text.Draw(t, "why"),
	}
}

func TestErrorsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		code := connect.Code(rapid.Uint32Range(1, 16).Draw(t, "code"))
		var detail *pb.ErrorDetail
		if rapid.Bool().Draw(t, "detailed") {
			detail = drawDetail(t)
		}
		message := rapid.OneOf(rapid.String(), rapid.Just("two\r\nlines: \xff")).Draw(t, "message")
		encoding := rapid.SampledFrom([]Encoding{Protobuf, JSON}).Draw(t, "encoding")

		sent := Error(code, detail, "%s", message)
		name, text, body := encodeError(sent, encoding)
		if strings.ContainsAny(text, "\r\n") || text == "" || text != strings.TrimSpace(text) || len(text) > maxMessage || !utf8.ValidString(text) {
			t.Fatalf("header %q cannot travel", text)
		}
		got := decodeError(name, text, body, encoding)
		if got.Code() != sent.Code() {
			t.Fatalf("code %s, want %s", got.Code(), sent.Code())
		}
		if !proto.Equal(Detail(got), Detail(sent)) {
			t.Fatalf("detail %v, want %v", Detail(got), Detail(sent))
		}
		if Reason(got) == "" {
			t.Fatal("an error without a reason")
		}
		if again, _, _ := encodeError(got, encoding); again != name {
			t.Fatalf("sent on, the error is %s, want %s", again, name)
		}
		if got.Message() != text {
			t.Fatalf("message %q, want %q", got.Message(), text)
		}
	})
}

func TestInternalErrorsCarryNoInnerText(t *testing.T) {
	const inner = "passphrase is hunter2"
	for _, err := range []error{
		errors.New(inner),
		fmt.Errorf("append: %w", errors.New(inner)),
		Internal(errors.New(inner)),
		Error(connect.CodeInternal, &pb.ErrorDetail{Reason: inner, Why: inner}, "%s", inner),
		Error(connect.CodeUnknown, nil, "%s", inner),
		connect.NewError(connect.CodeInternal, errors.New(inner)),
		connect.NewError(connect.CodeUnknown, errors.New(inner)),
		connect.NewError(0, errors.New(inner)),
		connect.NewError(99, errors.New(inner)),
		fmt.Errorf("outer: %w", connect.NewError(connect.CodeInternal, errors.New(inner))),
	} {
		for _, encoding := range []Encoding{Protobuf, JSON} {
			code, text, body := encodeError(err, encoding)
			if code != "internal" || strings.Contains(text+string(body), "hunter2") {
				t.Errorf("%v: travels as %s %q %q", err, code, text, body)
			}
		}
		if Reason(Public(err)) != ReasonInternal {
			t.Errorf("%v: reason %s", err, Reason(Public(err)))
		}
		if !strings.Contains(cause(Public(err)), inner) {
			t.Errorf("%v: the log would only say %q", err, cause(Public(err)))
		}
	}
}

func TestWrappingIsNotPublic(t *testing.T) {
	err := fmt.Errorf("store 7 in /var/lib: %w", StoreLocked())
	code, text, _ := encodeError(err, Protobuf)
	if code != "failed_precondition" || text != "the store is locked" || Reason(err) != ReasonStoreLocked {
		t.Fatalf("travels as %s %q, reason %s", code, text, Reason(err))
	}
}

func TestEndedContextsAreNamed(t *testing.T) {
	for err, want := range map[error]string{
		context.Canceled: ReasonCanceled,
		fmt.Errorf("query: %w", context.DeadlineExceeded): ReasonDeadlineExceeded,
	} {
		if got := Reason(Public(err)); got != want {
			t.Errorf("%v: %s, want %s", err, got, want)
		}
	}
	if Public(nil) != nil || Detail(nil) != nil || Reason(errors.New("x")) != "" {
		t.Error("something was made of nothing")
	}
}

// FuzzDecodeError feeds a client what a broken or hostile server may answer.
func FuzzDecodeError(f *testing.F) {
	f.Add("failed_precondition", "the store is locked", []byte("\n\x0cSTORE_LOCKED"), false)
	f.Add("internal", "", []byte(`{"reason":"X","index":1}`), true)
	f.Add("", "\r\n", []byte{0xff}, true)
	f.Fuzz(func(t *testing.T, code, text string, body []byte, json bool) {
		encoding := Protobuf
		if json {
			encoding = JSON
		}
		err := decodeError(code, text, body, encoding)
		if Reason(err) == "" || err.Code() == 0 {
			t.Fatalf("%v has no reason or code", err)
		}
		_ = err.Error()
	})
}
