package checkpoint

import (
	"bytes"
	"crypto/sha256"
	"io"
	"slices"
)

// SealName is the last tensor of a sealed file: U8[32], the SHA-256 of every
// byte before it.
const SealName = "~sha256"

// WriteSealed writes a canonical safetensors file that ends with its own
// digest. Every damage to it is found by [File.VerifySeal], and any program
// that reads safetensors can read it. "~" sorts after every letter, and no
// type is narrower than U8, so the digest comes last by the canonical order;
// another one-byte tensor whose name sorts behind it is refused.
func WriteSealed(w io.Writer, metadata map[string]string, entries []Entry) error {
	h := sha256.New()
	for _, e := range entries {
		if canonicalOrder(e.Name, e.DType, SealName, U8) >= 0 {
			return fault(Mismatch, "tensor would come after the seal").in(e.Name)
		}
	}
	seal := Entry{SealName, U8, []int{sha256.Size}, func(w io.Writer) error {
		_, err := w.Write(h.Sum(nil))
		return err
	}}
	return WriteSafetensors(io.MultiWriter(w, h), metadata, append(slices.Clone(entries), seal))
}

// VerifySeal checks that the file is what [WriteSealed] wrote: canonical, and
// with the right digest at its end. It reads the whole file. Nothing in a
// sealed file should be used before. The error is of kind [Corrupt].
func (f *File) VerifySeal() error {
	return inFile(f.path, f.verifySeal())
}

func (f *File) verifySeal() error {
	seal := f.tensors[SealName]
	if f.format != formatSafetensors || seal == nil {
		return fault(Corrupt, "not a sealed file").in(SealName)
	}
	if seal.DType != U8 || !slices.Equal(seal.Shape, []int{sha256.Size}) || seal.store.offset+sha256.Size != f.size {
		return fault(Corrupt, "seal is not 32 bytes at the end of the file").in(SealName)
	}
	infos := make([]Info, 0, len(f.tensors))
	for _, t := range f.tensors {
		infos = append(infos, t.Info)
	}
	slices.SortFunc(infos, func(a, b Info) int { return canonicalOrder(a.Name, a.DType, b.Name, b.DType) })
	canonical, err := canonicalHeader(f.metadata, infos)
	if err != nil {
		return err
	}
	header := make([]byte, min(int64(len(canonical)), f.size))
	if err := readFull(f.r, header, 0); err != nil {
		return err
	}
	if !bytes.Equal(header, canonical) {
		return fault(Corrupt, "header is not in canonical form")
	}
	h := sha256.New()
	body := &storage{r: f.r, path: f.path, size: f.size}
	err = body.stream(0, seal.store.offset, nil, func(chunk []byte) error {
		h.Write(chunk)
		return nil
	})
	if err != nil {
		return err
	}
	want, err := seal.bytes()
	if err != nil {
		return err
	}
	if got := h.Sum(nil); !bytes.Equal(got, want) {
		return fault(Corrupt, "digest differs: the file is damaged").in(SealName).at(seal.store.offset).
			wanted(quote(hexText(want)), quote(hexText(got)))
	}
	return f.unchanged()
}
