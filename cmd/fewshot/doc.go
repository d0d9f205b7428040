// Command fewshot adapts CLIP to a classification task from a few labelled images per class, by learning which of its
// weights to switch off: Regularized Mask Tuning (R-AMT, ICCV 2023).
//
// Without arguments it shows what it does, on a small CLIP that is embedded in the binary and a task drawn on the
// fly. On real models and data:
//
//	fewshot train -model ViT-B-16.pt -data DATA -dataset oxford_pets -shots 16 -out runs/pets
//	fewshot eval -model ViT-B-16.pt -data DATA -dataset oxford_pets -mask runs/pets/mask.safetensors
//	fewshot zeroshot -model ViT-B-16.pt -data DATA -dataset oxford_pets -ensemble
//	fewshot encode -model ViT-B-16.pt -json -text "a photo of a cat." cat.jpg
//	fewshot data check -data DATA -dataset oxford_pets
//
// fewshot help lists the commands, fewshot COMMAND -help a command's flags.
//
// # Output
//
// Results go to standard output: text for people or, with -json, one JSON object a line, whose key kind tells what it
// is; the last line is the result. (encode has one object per input, and no other.) Warnings, errors and the progress
// bar, which is only drawn on a terminal, go to standard error.
//
// The exit code is 0 if all was done, 1 if something failed, 2 for a mistake on the command line, 70 for a fault of the
// program, 75 for a plan that is to be run again, 130 if it was interrupted. A failure is one line that names the file,
// tensor or flag, and what to do.
//
// # Output folders
//
// train writes mask.safetensors and, last, result.json into a folder of its own: one with a result.json is complete.
// While it runs the folder holds a lock and training checkpoints. A folder with anything in it is refused unless it
// is given with -resume, one that another process holds always. A run that was interrupted, or killed at any moment,
// goes on with -resume and the same settings, and ends with the same mask file, to the byte, as one that was left in
// peace. Other settings, data or weights are refused.
//
// # How it is made
//
// main is os.Exit(run(…)); run picks a command, and tests call it as a shell would. A command is one file: it
// declares flags, opens what they name, wires packages together and prints. Flags that several commands share are
// small structs with declare and open methods (device, model, data, loader). What there is to compute is in the
// packages: rmt/run for a run as a whole, rmt and those below it for the methods, vit and text for the encoders,
// datasets for images and splits, nn/checkpoint for files.
package main
