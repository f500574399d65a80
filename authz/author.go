package authz

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"regexp"

	"google.golang.org/protobuf/proto"

	pb "healthledger/proto/healthledger/v1"
)

// Errors of an Author. They are the owner's to see, never an app's.
var (
	ErrExists = errors.New("an app with this bundle id is registered already")
	ErrNoApp  = errors.New("no app with this bundle id is registered")
	ErrPolicy = errors.New("values that are not plausible are either warned of or refused")
)

// Signer signs a decision with the owner's key.
type Signer interface {
	SignDecision(decision []byte) []byte
}

// Author writes the decisions that follow a State. It changes nothing itself: what
// it returns takes effect when it has been appended to the log and read back.
type Author struct {
	State  *State
	Signer Signer
	// Random gives the salts of details.
	Random io.Reader
}

var bundleID = regexp.MustCompile(`^[A-Za-z0-9-]+(\.[A-Za-z0-9-]+){1,9}$`)

// AddApp registers an app, with the SHA-256 of its token or an nkey.
// Errors: ErrExists, *DraftError.
func (a *Author) AddApp(now int64, draft *pb.AppDraft, importer bool, shares []*pb.ShareGrant) (*pb.NewDecision, error) {
	if err := CheckManifest(draft.GetManifest()); err != nil {
		return nil, err
	}
	if err := checkCredential(draft); err != nil {
		return nil, err
	}
	if _, taken := a.State.AppByBundle(draft.GetManifest().GetBundleId()); taken {
		return nil, ErrExists
	}
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_AppRegistered{AppRegistered: &pb.AppRegistered{
		Key: draft.GetKey(), TokenHash: draft.GetTokenHash(), Nkey: draft.GetNkey(), Importer: importer, Shares: shares, Explained: Explains(draft.GetManifest()).message(),
	}}}, &pb.DecisionDetail{Body: &pb.DecisionDetail_AppDescribed{AppDescribed: &pb.AppDescribed{Manifest: draft.GetManifest()}}})
}

// UpdateApp gives the app with the manifest's bundle id another manifest.
// Errors: ErrNoApp, *DraftError.
func (a *Author) UpdateApp(now int64, m *pb.Manifest) (*pb.NewDecision, error) {
	if err := CheckManifest(m); err != nil {
		return nil, err
	}
	app, ok := a.State.AppByBundle(m.GetBundleId())
	if !ok {
		return nil, ErrNoApp
	}
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_AppUpdated{AppUpdated: &pb.AppUpdated{
		App: app.Number, Explained: Explains(m).message(), AsksAgain: asksAgain(app.Manifest, m),
	}}}, &pb.DecisionDetail{Body: &pb.DecisionDetail_AppDescribed{AppDescribed: &pb.AppDescribed{Manifest: m}}})
}

// ReplaceCredential ends an app's credential and gives it another. A locked daemon acts on
// it, so there is no detail. Errors: ErrNoApp, *DraftError.
func (a *Author) ReplaceCredential(now int64, draft *pb.CredentialDraft) (*pb.NewDecision, error) {
	if err := checkCredential(draft); err != nil {
		return nil, err
	}
	app, ok := a.State.AppByBundle(draft.GetBundleId())
	if !ok {
		return nil, ErrNoApp
	}
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_CredentialReplaced{CredentialReplaced: &pb.CredentialReplaced{
		App: app.Number, TokenHash: draft.GetTokenHash(), Nkey: draft.GetNkey(),
	}}}, nil)
}

// RemoveApp ends an app. Its samples stay. Errors: ErrNoApp.
func (a *Author) RemoveApp(now int64, bundleID string) (*pb.NewDecision, error) {
	app, ok := a.State.AppByBundle(bundleID)
	if !ok {
		return nil, ErrNoApp
	}
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_AppRemoved{
		AppRemoved: &pb.AppRemoved{App: app.Number},
	}}, nil)
}

// Grant changes what an app may write and read. Errors: ErrNoApp, *DraftError for what the
// app's manifest does not explain.
func (a *Author) Grant(now int64, req *pb.DecideRequest) (*pb.NewDecision, error) {
	app, ok := a.State.AppByBundle(req.GetBundleId())
	if !ok {
		return nil, ErrNoApp
	}
	for _, g := range req.GetShares() {
		if why := app.unexplainedShare(g); why != "" {
			return nil, &DraftError{"shares", typeName(g.GetType()), why}
		}
	}
	for _, g := range req.GetReads() {
		if why := app.unexplainedRead(g); why != "" {
			return nil, &DraftError{"reads", typeName(g.GetType()), why}
		}
	}
	d := &pb.Decision{Time: now}
	if len(req.GetShares()) > 0 {
		d.Body = &pb.Decision_SharesDecided{SharesDecided: &pb.SharesDecided{App: app.Number, Shares: req.GetShares()}}
	}
	var detail *pb.DecisionDetail
	if len(req.GetReads()) > 0 {
		detail = &pb.DecisionDetail{Body: &pb.DecisionDetail_ReadsDecided{
			ReadsDecided: &pb.ReadsDecided{App: app.Number, Reads: req.GetReads()},
		}}
	}
	return a.sign(d, detail)
}

// SetPolicy changes what becomes of values that are not plausible. A locked daemon acts
// on it, so there is no detail. Errors: ErrPolicy.
func (a *Author) SetPolicy(now int64, policy *pb.PolicySet) (*pb.NewDecision, error) {
	if !isPolicy(policy) {
		return nil, ErrPolicy
	}
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_PolicySet{PolicySet: policy}}, nil)
}

// ReplaceKeyring names the store's next keyring file by its SHA-256. A locked daemon acts on
// it, so there is no detail.
func (a *Author) ReplaceKeyring(now int64, hash [sha256.Size]byte) (*pb.NewDecision, error) {
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_KeyringReplaced{KeyringReplaced: &pb.KeyringReplaced{Hash: hash[:]}}}, nil)
}

// DeleteSamples deletes samples, whoever saved them.
func (a *Author) DeleteSamples(now int64, d *pb.OwnerDeleted) (*pb.NewDecision, error) {
	return a.sign(&pb.Decision{Time: now}, &pb.DecisionDetail{Body: &pb.DecisionDetail_OwnerDeleted{OwnerDeleted: d}})
}

// EnrolDevice makes a daemon the writer of the log.
func (a *Author) EnrolDevice(now int64, device *pb.DeviceEnrolled) (*pb.NewDecision, error) {
	return a.sign(&pb.Decision{Time: now, Body: &pb.Decision_DeviceEnrolled{DeviceEnrolled: device}}, nil)
}

func (a *Author) sign(d *pb.Decision, detail *pb.DecisionDetail) (*pb.NewDecision, error) {
	number, head := a.State.Head()
	d.Number, d.Previous = number+1, head
	out := &pb.NewDecision{}
	if detail != nil {
		detail.Number, detail.Salt = d.Number, make([]byte, 16)
		if _, err := io.ReadFull(a.Random, detail.Salt); err != nil {
			return nil, fmt.Errorf("sign decision %d: %w", d.Number, err)
		}
		var err error
		if out.Detail, err = proto.Marshal(detail); err != nil {
			return nil, fmt.Errorf("sign decision %d: %w", d.Number, err)
		}
		sum := sha256.Sum256(out.Detail)
		d.DetailHash = sum[:]
	}
	decision, err := proto.Marshal(d)
	if err != nil {
		return nil, fmt.Errorf("sign decision %d: %w", d.Number, err)
	}
	out.Decision = &pb.SignedDecision{Decision: decision, Signature: a.Signer.SignDecision(decision)}
	return out, nil
}
