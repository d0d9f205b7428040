// Package export writes CLIP models as files that other programs open: transformers and open_clip folders, OpenAI's state
// dict, ONNX graphs; and masks as the authors of R-AMT released theirs.
//
// A [Model] is values and settings, wherever they come from. What masks or other learned parametrisations do to weights
// is in the values: other programs see a plain model. Each format is a list of [File]s, so that the caller decides where
// they go; [Model.Check] opens what was written and compares it with the model, tensor for tensor and setting for setting.
//
// # Silence
//
// Loaders of these formats replace what is missing by defaults, or by random numbers, without an error: an activation, a
// number of heads, an epsilon, a type, a whole tokenizer. So here every setting is written whether or not it is the
// default, the set of tensors is compared with the architecture's, values are float32 and say so, and a model without a
// vocabulary becomes no folder that promises to read text. What a format cannot say is an error: nothing is left out.
//
// # Formats
//
//	transformers   config.json, model.safetensors, preprocessor_config.json, tokenizer_config.json, vocab.json, merges.txt
//	open_clip      open_clip_config.json, open_clip_model.safetensors, and a tokenizer unless it is OpenAI's
//	openai         one archive of torch.save: what clip.load, open_clip's load_openai_model and create_model take
//	onnx           opset 17, plain nodes: both towers with optimum's names, or the image encoder with a classifier
//	official-mask  the released code's model.pth.tar: a bit a weight, most significant first
//
// A relative of CLIP's, which says what it has otherwise ([Relative]), goes back into the folder's form that it came in, with the configuration it
// had there, or becomes a graph. A graph that leaves one of the model's tensors out is an error.
//
// Which inputs other programs then see differently, pixels and texts, is in docs/export.md.
package export
