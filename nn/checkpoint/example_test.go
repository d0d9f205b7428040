package checkpoint_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"fewshot/nn/checkpoint"
)

// A Hugging Face folder, seen through OpenAI's names.
func ExampleOpenModel() {
	m, err := checkpoint.OpenModel("testdata/hf")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer m.Close()
	shape, _ := m.Shape("visual.transformer.resblocks.0.attn.in_proj_weight")
	fmt.Println(m.Dialect(), m.Activation(), len(m.Names()), shape)
	weights := make([]float32, 3*8*8)
	if err := m.Read("visual.transformer.resblocks.0.attn.in_proj_weight", weights); err != nil {
		fmt.Println(err)
	}
	// Output: huggingface quickgelu 50 [24 8]
}

// The digest tells a model, not a file.
func ExampleModel_Digest() {
	digests := make(map[string]bool)
	for _, path := range []string{"vit_script.pt", "vit_half.pt", "vit.safetensors", "hf", "hf_sharded", "open_clip"} {
		m, err := checkpoint.OpenModel(filepath.Join("testdata", path))
		if err != nil {
			fmt.Println(err)
			return
		}
		digest, err := m.Digest()
		fmt.Println(m.Format(), len(digest), err)
		digests[digest] = true
		m.Close()
	}
	fmt.Println("different digests:", len(digests))
	// Output:
	// torchscript 64 <nil>
	// torch 64 <nil>
	// safetensors 64 <nil>
	// huggingface 64 <nil>
	// huggingface 64 <nil>
	// open_clip 64 <nil>
	// different digests: 1
}

// What was wrong, and of what kind.
func ExampleError() {
	_, err := checkpoint.OpenModel("testdata/module.pt")
	fmt.Println(err)
	fmt.Println(errors.Is(err, checkpoint.Forbidden))
	// Output:
	// testdata/module.pt: "module/data.pkl": at byte 2: forbidden: the pickle asks for the global "torch.nn.modules.linear.Linear"; a checkpoint needs none but torch's tensors (save model.state_dict(), not the model)
	// true
}

// A file that knows its own digest, replaced in one step.
func ExampleWriteSealed() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "mask.safetensors")
	err = checkpoint.WriteFile(path, func(w io.Writer) error {
		return checkpoint.WriteSealed(w, map[string]string{"format": "mask"}, []checkpoint.Entry{
			{Name: "visual.proj", DType: checkpoint.U8, Shape: []int{3}, Data: checkpoint.Bytes([]byte{1, 2, 3})},
		})
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := checkpoint.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	fmt.Println(f.VerifySeal(), f.Metadata()["format"], f.Names())
	// Output: <nil> mask [visual.proj ~sha256]
}

// Checkpoints need not be files.
func ExampleNewFile() {
	var embedded bytes.Buffer
	err := checkpoint.WriteSafetensors(&embedded, nil, []checkpoint.Entry{
		{Name: "logit_scale", DType: checkpoint.F16, Shape: nil, Data: checkpoint.Float32s([]float32{4.6}, checkpoint.F16)},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	f, err := checkpoint.NewFile("embedded", bytes.NewReader(embedded.Bytes()), int64(embedded.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	scale := make([]float32, 1)
	fmt.Println(f.Read("logit_scale", scale), scale)
	// Output: <nil> [4.6015625]
}
