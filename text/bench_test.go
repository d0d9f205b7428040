package text

import (
	"testing"

	"fewshot/autograd"
	"fewshot/tensor"
)

// BenchmarkTemplates encodes forty class names in each of four templates: as texts of their own that are padded to one
// length, in batches of 64 by class, and as they are encoded now.
func BenchmarkTemplates(b *testing.B) {
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	c := Config{Context: 77, Vocab: 60, Width: 512, Layers: 4, Heads: 8, Embed: 512, Activation: tensor.QuickGELU}
	e := newEncoder(b, dev, c)
	templates := [][]int32{{3, 4, 5, 6}, {3, 4, 9, 10, 11}, {7, 8, 12}, {11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21}}
	var byClass, byTemplate [][]int32
	prompt := func(t, class int) []int32 {
		ids := append([]int32{start}, templates[t]...)
		for i := range 1 + class%3 {
			ids = append(ids, int32(30+(class+i)%20))
		}
		return append(ids, 2, end)
	}
	for class := range 40 {
		for t := range templates {
			byClass = append(byClass, prompt(t, class))
		}
	}
	for t := range templates {
		for class := range 40 {
			byTemplate = append(byTemplate, prompt(t, class))
		}
	}
	b.Run("padded", func(b *testing.B) {
		for range b.N {
			for lo := 0; lo < len(byClass); lo += 64 {
				texts := byClass[lo:min(lo+64, len(byClass))]
				length := 0
				for _, ids := range texts {
					length = max(length, len(ids))
				}
				flat, ends := make([]int32, len(texts)*length), make([]int32, len(texts))
				for i, ids := range texts {
					copy(flat[i*length:], ids)
					ends[i] = int32(len(ids) - 1)
				}
				t := autograd.NoGrad(dev)
				e.EncodeEmbeddings(autograd.Reshape(e.Embeddings(t, flat), len(texts), length, c.Width), ends)
				t.Release()
			}
		}
	})
	b.Run("together", func(b *testing.B) {
		for range b.N {
			s := newEnsemble(e, dev, 40, NormalizeFirst)
			for i, ids := range byTemplate {
				s.add(i%40, ids)
			}
			s.classifier(4).Release()
		}
	})
}
