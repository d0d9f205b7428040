package checkpoint

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"slices"

	numbers "fewshot/tensor"
)

// Digest identifies the model by what it computes with, not by how it is
// stored: the .pt file in half precision, a Hugging Face folder that holds
// the widened values and an open_clip file have one digest. It is the SHA-256,
// in hexadecimal, over all tensors in the order of OpenAI's names, of
//
//	length of the name   uint64, little-endian, as all numbers here
//	name                 bytes
//	rank                 uint64
//	axis lengths         uint64 each
//	SHA-256 of the values, row-major, widened to float32
//
// The first call reads the whole model; non-finite weights are refused as by
// [Model.Read].
func (m *Model) Digest() (string, error) { return m.digest(m.names) }

// MaskedDigest is the same over some of the tensors, such as the masked ones.
// The order of names does not matter; each may be given once.
func (m *Model) MaskedDigest(names []string) (string, error) {
	sorted := slices.Sorted(slices.Values(names))
	for i, name := range sorted {
		if i > 0 && sorted[i-1] == name {
			return "", inFile(m.file.path, fault(Mismatch, "tensor named twice").in(name))
		}
	}
	return m.digest(sorted)
}

func (m *Model) digest(names []string) (string, error) {
	h := sha256.New()
	for _, name := range names {
		p := m.plans[name]
		if p == nil {
			return "", inFile(m.file.path, fault(Mismatch, "no such tensor").in(name))
		}
		sum, err := m.valueSum(name)
		if err != nil {
			return "", err
		}
		var b []byte
		b = binary.LittleEndian.AppendUint64(b, uint64(len(name)))
		b = append(b, name...)
		b = binary.LittleEndian.AppendUint64(b, uint64(len(p.shape)))
		for _, d := range p.shape {
			b = binary.LittleEndian.AppendUint64(b, uint64(d))
		}
		h.Write(b)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// KeepDigests makes Read and Stream hash what they read, so that a Digest
// after them reads only what is left: for who opens a model to use it and
// needs its digest as well. It comes before the first of them.
func (m *Model) KeepDigests() { m.keep = true }

// hashOf is the hash that reading a tensor is to fill, nil if none.
func (m *Model) hashOf(name string) hash.Hash {
	if !m.keep {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.sums[name]; known {
		return nil
	}
	return sha256.New()
}

func (m *Model) keepSum(name string, h hash.Hash) {
	m.mu.Lock()
	m.sums[name] = [32]byte(h.Sum(nil))
	m.mu.Unlock()
}

// valueSum is the SHA-256 of a tensor's values, computed once.
func (m *Model) valueSum(name string) ([32]byte, error) {
	m.mu.Lock()
	sum, known := m.sums[name]
	m.mu.Unlock()
	if known {
		return sum, nil
	}
	h := sha256.New()
	err := m.Stream(name, func(_ int, values []float32) error {
		if !m.keep { // else Stream does it
			hashFloats(h, values)
		}
		return nil
	})
	if err != nil {
		return sum, err
	}
	if !m.keep {
		m.keepSum(name, h)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sums[name], nil
}

// hashFloats writes values to h as little-endian float32.
func hashFloats(h hash.Hash, values []float32) {
	if memory := numbers.FileBytes(values); memory != nil {
		h.Write(memory)
		return
	}
	buf := chunks.Get().(*[chunkSize]byte)
	defer chunks.Put(buf)
	for len(values) > 0 {
		n := min(len(values), chunkSize/4)
		narrow(buf[:], values[:n], F32)
		h.Write(buf[:4*n])
		values = values[n:]
	}
}
