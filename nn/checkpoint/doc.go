// Package checkpoint reads CLIP checkpoints in every form in which people have
// them, and writes this program's own files.
//
// # Reading
//
// [Open] gives the tensors of a container under the names they are stored by;
// [OpenModel] gives the same tensors as a CLIP model, under the names and in
// the orientation of OpenAI's state dict:
//
//	m, err := checkpoint.OpenModel("ViT-B-16.pt") // or a Hugging Face folder
//	shape, ok := m.Shape("visual.proj")           // [768 512]
//	err = m.Read("visual.proj", weights)          // always float32
//
// Containers: safetensors; torch.save's files of a state dict, archives and
// the format of before version 1.6, also wrapped as {"state_dict": …},
// {"model": …} or {"model_state_dict": …}, and with "module.", "_orig_mod.",
// "model.", "clip." or "clip_model." before every name; TorchScript archives,
// the form OpenAI released its models in; folders of Hugging Face (config.json
// with model.safetensors or pytorch_model.bin, whole or in shards with an
// index), also as its hub's cache keeps them, and of open_clip
// (open_clip_config.json with open_clip_model.safetensors or
// open_clip_pytorch_model.bin). The content decides which it is; only the
// names of those weights files, given themselves, make the configuration
// beside them count.
//
// Dialects: OpenAI's names, vision transformers and ResNets; Hugging Face's
// CLIPModel and CLIPVisionModel, whose separate query, key and value matrices
// are packed and whose projections are transposed while they are read;
// open_clip's. Each has one table, in rename_<dialect>.go. [Model.Digest] is
// the same for one model in any container, dialect or precision, as long as
// the values are the same.
//
// # Trust
//
// A checkpoint is a stranger's file. The safe loaders of other programs
// either refuse OpenAI's files, because TorchScript contains code, or run
// them. This package reads the one pickle that describes the tensors and the
// records that hold them; code/ is never opened, and the pickle machine
// (pickle.go) has nothing it could call. The rules for all parsers:
//
//   - Sizes are checked before memory is allocated, with arithmetic that
//     remembers overflow (size.go), against limits that no real file reaches.
//   - What a file says twice it has to say alike; payloads and zip entries
//     have to tile the file without gap, overlap or tail.
//   - One strict parse decides. There is no second, more lenient attempt, and
//     a file that could be two formats is refused.
//   - No recursion on a stranger's nesting without a bound, no panic, no
//     silent default. Each refusal is an [*Error] with file, entry, byte,
//     expectation and finding, and a [Kind] for errors.Is.
//   - What is compressed is not read; torch stores weights plainly. Tensors
//     that share a storage may add up to twice the file's size, no more.
//
// A safetensors file carries no checksum: a flipped bit in a payload is only
// found by comparing [Model.Digest] with a known one; nor does torch's old
// format. Torch archives carry a CRC-32 of every record, which is checked.
//
// # Writing
//
// [WriteSafetensors] has one output for one input, byte for byte.
// [WriteSealed] adds a digest of the file as its last tensor, which
// [File.VerifySeal] checks. [WriteFile] replaces files in a way that survives
// errors and crashes at every step. [WriteModel] saves a model for [OpenModel]
// to open.
//
// # Not handled
//
// Whole pickled
// modules, quantised and sparse tensors, safetensors' 8-bit floats, CLIP's
// relatives with another architecture (most of timm's image encoders, Hugging
// Face text encoders). All are refused by name where they can be told, with a
// model that does load.
package checkpoint
