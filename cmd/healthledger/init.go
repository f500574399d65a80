package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"healthledger/ledger"
	"healthledger/ledger/seal"
	"healthledger/ledger/serve"
	"healthledger/proto/client"
	pb "healthledger/proto/healthledger/v1"
)

type initCmd struct {
	Add       bool   `help:"Add a store to a directory that holds one already."`
	WordsFile string `help:"Write the recovery words to a new file (mode 0600) instead of printing them." type:"path"`
}

// Run makes the keys and the first decisions in this process.
func (c *initCmd) Run(ctx context.Context, g *globals) error {
	ids, err := ledger.Stores(g.Dir)
	if err != nil {
		return err
	}
	if len(ids) > 0 && !c.Add {
		return fmt.Errorf("%s holds a store already: use --add for another one", g.Dir)
	}
	passphrase, err := g.newPassphrase(g.PassphraseFile)
	if err != nil {
		return err
	}
	defer clear(passphrase)
	address, inside, err := g.daemon(ctx)
	if err != nil {
		return err
	}
	if inside != nil {
		defer inside.Close()
	}
	genesis, err := ledger.NewGenesis(passphrase, seal.DefaultCost, &pb.DeviceEnrolled{SigningKey: address.SigningKey, SealingKey: address.SealingKey})
	if err != nil {
		return err
	}
	if c.WordsFile != "" {
		if err := writeNew(c.WordsFile, genesis.Words+"\n"); err != nil {
			return err
		}
	}
	if err := create(ctx, address, genesis); err != nil {
		return err
	}
	path, kept := g.keepCredentials(genesis.Store, ledger.ImporterID, address.Remote.Credentials(genesis.Store.String(), genesis.Key, genesis.Token))
	if kept != nil {
		kept = fmt.Errorf("the store is made, but its importer's credentials could not be kept: %w", kept)
	}
	// The words have no other chance to be seen.
	return errors.Join(c.print(g, genesis, path), kept)
}

// create hands the daemon what it may know.
func create(ctx context.Context, address serve.LocalAddress, genesis *ledger.Genesis) error {
	o, err := client.DialOwner(ctx, address.Credentials(), genesis.Store.String(), "")
	if err != nil {
		return err
	}
	defer o.Close()
	_, err = o.Owner().CreateStore(ctx, genesis.Request)
	return err
}

func (c *initCmd) print(g *globals, genesis *ledger.Genesis, path string) error {
	id, words := genesis.Store, genesis.Words
	if g.JSON {
		line := map[string]any{"store": id.String(), "directory": g.Dir, "importerCredentials": path}
		if c.WordsFile == "" {
			line["recoveryWords"] = words
		}
		return g.printJSON(line)
	}
	fmt.Fprintf(g.out, "Store %s in %s\n", id, g.Dir)
	if c.WordsFile != "" {
		fmt.Fprintf(g.out, "The recovery words are in %s. Move them off this machine.\n", c.WordsFile)
		return nil
	}
	fmt.Fprintf(g.out, "\nThese 24 words open the store when the passphrase is lost. Write them on paper;\nthey are not shown again:\n\n%s\n", wordTable(words))
	return nil
}

// newPassphrase reads it from a file, if there is one, or asks twice on a terminal.
func (g *globals) newPassphrase(file string) ([]byte, error) {
	if file != "" {
		return secretFile(file, "passphrase")
	}
	first, err := ask("New passphrase: ")
	if err != nil {
		return nil, err
	}
	second, err := ask("Again: ")
	if err != nil {
		return nil, err
	}
	defer clear(second)
	if !bytes.Equal(first, second) {
		clear(first)
		return nil, errors.New("the two differ")
	}
	return first, nil
}

func writeNew(path, content string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(content)
	return errors.Join(err, f.Sync(), f.Close())
}

func wordTable(words string) string {
	var b strings.Builder
	for i, w := range strings.Fields(words) {
		fmt.Fprintf(&b, "  %2d %-10s", i+1, w)
		if i%4 == 3 {
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// credentialsPath is where this machine's command line keeps an app's credentials.
func (g *globals) credentialsPath(store seal.StoreID, bundleID string) string {
	return filepath.Join(g.Dir, "credentials", store.String(), bundleID+".json")
}

func (g *globals) keepCredentials(store seal.StoreID, bundleID string, c client.Credentials) (string, error) {
	path := g.credentialsPath(store, bundleID)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", err
	}
	return path, client.WriteCredentials(path, c)
}
