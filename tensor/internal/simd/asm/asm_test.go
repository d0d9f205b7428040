package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// TestGeneratedFilesAreCurrent fails if the generator or its output was changed without the other.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	files := generate()
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", name))
		if err != nil {
			t.Error(err)
		} else if !bytes.Equal(got, want) {
			t.Errorf("%s differs from what the generator writes: run go generate ./tensor/internal/simd", name)
		}
	}
	present, err := filepath.Glob("../*.s")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range present {
		if _, ok := files[filepath.Base(path)]; !ok {
			t.Errorf("%s is assembly that the generator does not write", path)
		}
	}
}

// TestStrassen multiplies out: the products must come to every block of A with every block of B that it meets, in the block of C where it does.
func TestStrassen(t *testing.T) {
	for _, c := range []struct {
		side     int
		products []product
	}{{2, strassen}, {side, twice(strassen)}} {
		coefficients := map[[3]int]int{}
		for _, p := range c.products {
			if p.a[0].sign < 0 || p.b[0].sign < 0 {
				t.Errorf("%v: a sum begins with a minus", p)
			}
			for _, x := range p.a {
				for _, y := range p.b {
					for _, z := range p.c {
						coefficients[[3]int{x.block, y.block, z.block}] += x.sign * y.sign * z.sign
					}
				}
			}
		}
		met := 0
		for at, n := range coefficients {
			row, k := at[0]/c.side, at[0]%c.side
			k2, col := at[1]/c.side, at[1]%c.side
			want := 0
			if k == k2 && at[2] == c.side*row+col {
				want = 1
			}
			if n != want {
				t.Errorf("A%d·B%d in C%d: %d times, want %d", at[0], at[1], at[2], n, want)
			}
			met += want
		}
		if met != c.side*c.side*c.side {
			t.Errorf("%d products of blocks, want %d", met, c.side*c.side*c.side)
		}
	}
}
