// Package rpc serves one implementation of a service over several transports, and
// calls it. The implementation is the generated Connect handler interface
// (pb.HealthServiceHandler, pb.OwnerServiceHandler): ServeNATS puts it on NATS and
// NewHTTPHandler the same value on HTTP. NewHealthClient and NewOwnerClient implement
// the generated client interfaces over NATS; over HTTP the generated clients do.
//
// # On HTTP
//
// Every method is at /healthledger.v1.<Service>/<Method>, for Connect (POST of JSON or
// protobuf), gRPC and gRPC-Web. The header Authorization is "Bearer <store>.<key>.<token>".
//
// # On NATS
//
// A request goes to the subject <prefix>.<store>.<key>.<Method>, prefix being
// "health" or "owner". Its body is the request message, as protobuf or, with the
// header Content-Type: application/json, as JSON. The header Healthledger-Session
// may carry the owner's session. The reply subject lies under _INBOX.<key>., or the
// request is dropped. The answer's body is the response message in the request's
// encoding. An error has the headers Nats-Service-Error-Code (the Connect code,
// such as "failed_precondition") and Nats-Service-Error (one line of text), as in
// the NATS service protocol, and as its body a healthledger.v1.ErrorDetail.
package rpc

import (
	"context"
	"fmt"
	"reflect"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	pb "healthledger/proto/healthledger/v1"
)

// MaxRequest is the largest body of a request, in bytes.
const MaxRequest = 1 << 20

// Gate stands before every call of a known method. It runs when the caller is known
// and before anything of the request has been looked at, so that what it refuses it
// refuses alike for every request. method is the name in the schema ("Save"). The call
// goes on with the context that it returns. Leave, unless it is nil, is called when the
// answer is known and returns when it may be sent; a refusal goes out at once.
type Gate func(ctx context.Context, method string) (entered context.Context, leave func(), err error)

// Count is told how many bytes a request of a caller had that has passed the gate, or as
// much of it as came.
type Count func(caller Caller, bytes int)

// tell does so; without one there is nobody to tell.
func (c Count) tell(caller Caller, bytes int) {
	if c != nil {
		c(caller, bytes)
	}
}

// open passes the gate; without one everything may pass.
func (g Gate) open(ctx context.Context, method string) (context.Context, func(), error) {
	leave := func() {}
	if g == nil {
		return ctx, leave, nil
	}
	ctx, wait, err := g(ctx, method)
	if wait != nil {
		leave = wait
	}
	return ctx, leave, err
}

// method is one method of an implementation.
type method struct {
	name    string
	request reflect.Type // of the message struct
	call    reflect.Value
}

var (
	contextType = reflect.TypeFor[context.Context]()
	messageType = reflect.TypeFor[proto.Message]()
	errorType   = reflect.TypeFor[error]()
)

// methods finds the methods of a service in an implementation, once at start.
func methods(service protoreflect.ServiceDescriptor, impl any) (map[string]*method, error) {
	value := reflect.ValueOf(impl)
	if !value.IsValid() {
		return nil, fmt.Errorf("no implementation of %s", service.FullName())
	}
	found := make(map[string]*method, service.Methods().Len())
	for i := range service.Methods().Len() {
		descriptor := service.Methods().Get(i)
		name := string(descriptor.Name())
		if descriptor.IsStreamingClient() || descriptor.IsStreamingServer() {
			return nil, fmt.Errorf("%s: streams are not served", descriptor.FullName())
		}
		call := value.MethodByName(name)
		if !call.IsValid() {
			return nil, fmt.Errorf("%T lacks method %s", impl, name)
		}
		t := call.Type()
		if t.NumIn() != 2 || t.NumOut() != 2 || t.In(0) != contextType || t.Out(1) != errorType ||
			!isMessage(t.In(1), descriptor.Input()) || !isMessage(t.Out(0), descriptor.Output()) {
			return nil, fmt.Errorf("%T.%s is a %s, which does not fit %s", impl, name, t, descriptor.FullName())
		}
		found[name] = &method{name: name, request: t.In(1).Elem(), call: call}
	}
	return found, nil
}

func isMessage(t reflect.Type, descriptor protoreflect.MessageDescriptor) bool {
	if t.Kind() != reflect.Pointer || !t.Implements(messageType) {
		return false
	}
	message := reflect.Zero(t).Interface().(proto.Message)
	return message.ProtoReflect().Descriptor().FullName() == descriptor.FullName()
}

// invoke decodes a request and calls the method.
func (m *method) invoke(ctx context.Context, contentType string, body []byte) (proto.Message, error) {
	encoding, ok := ParseContentType(contentType)
	if !ok {
		return nil, InvalidArgument("Content-Type", "neither "+ContentTypeProtobuf+" nor "+ContentTypeJSON)
	}
	if len(body) > MaxRequest {
		return nil, tooLarge()
	}
	request := reflect.New(m.request)
	if err := encoding.Unmarshal(body, request.Interface().(proto.Message)); err != nil {
		return nil, InvalidArgument("request", err.Error())
	}
	out := m.call.Call([]reflect.Value{reflect.ValueOf(ctx), request})
	if err, _ := out[1].Interface().(error); err != nil {
		return nil, err
	}
	if out[0].IsNil() {
		return nil, fmt.Errorf("%s returned neither a response nor an error", m.name)
	}
	return out[0].Interface().(proto.Message), nil
}

func tooLarge() *connect.Error {
	why := fmt.Sprintf("more than %d bytes", MaxRequest)
	return Error(connect.CodeResourceExhausted, &pb.ErrorDetail{Reason: ReasonTooLarge, Field: "request", Why: why},
		"the request is too large: %s", why)
}
