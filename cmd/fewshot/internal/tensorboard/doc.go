// Package tensorboard writes event files that TensorBoard reads: scalars by step, and a run's hyper-parameters.
//
// TensorBoard has two readers, which show different curves of a run that was killed and resumed: the default one drops
// earlier points where a later file goes back to a lower step, and the one of -load_fast=false, and of
// EventAccumulator, keeps both and draws the curve backwards. So a [Writer] reads what the folder has, and writes no
// scalar for a step that has one: there is nothing to disagree about. It opens a file of its own each time, whose name
// sorts behind all others, as both readers take files in the order of their names.
//
// An event file is TFRecords: a length, the masked CRC-32C of its bytes, the payload, the masked CRC-32C of the payload
// (tensorflow/core/lib/io/record_writer.h). A payload is the protocol buffer Event (tensorflow/core/util/event.proto); the few fields
// that are needed are encoded by hand.
package tensorboard
