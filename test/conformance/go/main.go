// Command conformance verifies a published Weighbridge log with Go's own implementations of signed notes and
// transparency logs. It reads nothing but the log directory, the verifier key and, where given, an older checkpoint
// and proof sidecars with the leaf they are about.
//
//	conformance -log DIR -vkey VKEY [-old CHECKPOINT] [-proof FILE -leaf HEX]
package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

func main() {
	logDirectory := flag.String("log", "", "directory with checkpoint and tile/")
	vkey := flag.String("vkey", "", "verifier key of the log")
	old := flag.String("old", "", "file with an older checkpoint of the same log")
	proof := flag.String("proof", "", "a .tlog-proof file")
	leaf := flag.String("leaf", "", "hex of the leaf that the proof is about")
	flag.Parse()
	if err := run(*logDirectory, *vkey, *old, *proof, *leaf); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(logDirectory, vkey, old, proof, leaf string) error {
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		return fmt.Errorf("verifier key: %w", err)
	}
	if proof != "" {
		return checkSidecar(verifier, proof, leaf)
	}
	text, err := os.ReadFile(filepath.Join(logDirectory, "checkpoint"))
	if err != nil {
		return err
	}
	tree, err := openCheckpoint(verifier, text)
	if err != nil {
		return err
	}
	reader := tlog.TileHashReader(tree, &tiles{logDirectory})
	entries, err := readEntries(logDirectory, tree.N)
	if err != nil {
		return err
	}
	for index, entry := range entries {
		inclusion, err := tlog.ProveRecord(tree.N, int64(index), reader)
		if err != nil {
			return fmt.Errorf("proof of %d: %w", index, err)
		}
		if err := tlog.CheckRecord(inclusion, tree.N, tree.Hash, int64(index), tlog.RecordHash(entry)); err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
	}
	consistent := "no older checkpoint"
	if old != "" {
		if consistent, err = checkOlder(verifier, old, tree, reader); err != nil {
			return err
		}
	}
	fmt.Printf("%d entries, %s\n", tree.N, consistent)
	return nil
}

// openCheckpoint verifies the note and reads its first three lines (C2SP tlog-checkpoint).
func openCheckpoint(verifier note.Verifier, text []byte) (tlog.Tree, error) {
	opened, err := note.Open(text, note.VerifierList(verifier))
	if err != nil {
		return tlog.Tree{}, fmt.Errorf("checkpoint: %w", err)
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) < 4 || lines[0] != verifier.Name() {
		return tlog.Tree{}, errors.New("checkpoint: origin or lines")
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil {
		return tlog.Tree{}, err
	}
	root, err := base64.StdEncoding.DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, errors.New("checkpoint: root")
	}
	return tlog.Tree{N: size, Hash: tlog.Hash(root)}, nil
}

func checkOlder(verifier note.Verifier, path string, tree tlog.Tree, reader tlog.HashReader) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	older, err := openCheckpoint(verifier, text)
	if err != nil {
		return "", err
	}
	consistency, err := tlog.ProveTree(tree.N, older.N, reader)
	if err != nil {
		return "", err
	}
	if err := tlog.CheckTree(consistency, tree.N, tree.Hash, older.N, older.Hash); err != nil {
		return "", fmt.Errorf("consistency with %d: %w", older.N, err)
	}
	return fmt.Sprintf("extends %d", older.N), nil
}

// checkSidecar verifies a C2SP tlog-proof without looking at the log.
func checkSidecar(verifier note.Verifier, path, leafHex string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	leaf, err := hex.DecodeString(leafHex)
	if err != nil {
		return err
	}
	head, checkpoint, found := bytes.Cut(text, []byte("\n\n"))
	lines := strings.Split(string(head), "\n")
	if !found || len(lines) < 2 || lines[0] != "c2sp.org/tlog-proof@v1" {
		return errors.New("proof: malformed")
	}
	number, found := strings.CutPrefix(lines[1], "index ")
	index, err := strconv.ParseInt(number, 10, 64)
	if !found || err != nil {
		return errors.New("proof: no index")
	}
	var inclusion tlog.RecordProof
	for _, line := range lines[2:] {
		hash, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(hash) != tlog.HashSize {
			return errors.New("proof: hash")
		}
		inclusion = append(inclusion, tlog.Hash(hash))
	}
	tree, err := openCheckpoint(verifier, checkpoint)
	if err != nil {
		return err
	}
	if err := tlog.CheckRecord(inclusion, tree.N, tree.Hash, index, tlog.RecordHash(leaf)); err != nil {
		return fmt.Errorf("proof: %w", err)
	}
	fmt.Printf("entry %d of %d\n", index, tree.N)
	return nil
}

// readEntries reads every entry bundle (C2SP tlog-tiles), which golang.org/x/mod does not know.
func readEntries(logDirectory string, size int64) ([][]byte, error) {
	var entries [][]byte
	for start := int64(0); start < size; start += 256 {
		width := min(int(size-start), 256)
		path := strings.Replace(c2spPath(tlog.Tile{H: 8, L: 0, N: start / 256, W: width}), "tile/0/", "tile/entries/", 1)
		data, err := os.ReadFile(filepath.Join(logDirectory, path))
		if err != nil {
			return nil, err
		}
		for count := 0; count < width; count++ {
			if len(data) < 2 || len(data) < 2+int(binary.BigEndian.Uint16(data)) {
				return nil, errors.New("entry bundle: cut off")
			}
			end := 2 + int(binary.BigEndian.Uint16(data))
			entries = append(entries, data[2:end])
			data = data[end:]
		}
		if len(data) > 0 {
			return nil, errors.New("entry bundle: too long")
		}
	}
	return entries, nil
}

// tiles reads hash tiles of height 8 from the log directory.
type tiles struct{ directory string }

func (t *tiles) Height() int { return 8 }

func (t *tiles) ReadTiles(wanted []tlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range wanted {
		data, err := os.ReadFile(filepath.Join(t.directory, c2spPath(tile)))
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// SaveTiles is called with tiles that were verified against the tree; nothing is kept, so each is verified again.
func (t *tiles) SaveTiles([]tlog.Tile, [][]byte) {}

// c2spPath is Go's tile path without its height, as C2SP tlog-tiles spells it.
func c2spPath(tile tlog.Tile) string {
	return strings.Replace(tile.Path(), "tile/8/", "tile/", 1)
}
