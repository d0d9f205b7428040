// Package serve answers requests over HTTP: which class is this a picture of, by which tuned file.
//
// # One backbone, many tasks
//
// A [Server] holds one model and any number of tasks, each a tuned file or a mask of that model. Masks change weights, so tasks cannot run
// under one set of them; nor is a mask worth putting on and off with each batch, which would read and write all masked weights each
// time. So a task has its masked weights in memory of its own, W ⊙ M computed once when it is loaded, and shares all others with the
// backbone. Weights are packed, too, for batches of few images, which takes as much memory again: of a ViT-B/16 with masks on attention a task
// has 226 MB beside 940 MB that all share. A task that is learned behind the
// encoder (probes, adapters, prompts of texts) has nothing but its head for itself.
//
// # Batches
//
// An [engine] owns the device and is its only user. What is computed together is what goes through the same encoder: a tower. Images of
// one masked task make batches of their own; those of all tasks behind the untouched encoder, of requests that bring their own
// classes, and of comparisons with the untouched model share theirs, and part only at the heads.
//
// A batch begins as soon as the device is free and there is nobody to wait for: when it is full, when no other image is being decoded and all
// are there again who were answered last, or when the deadline has passed while the device was free, which for what is being decoded grows with the
// time that batches take. The queue (queue.go) is a function
// of times that it is given, so that tests need no clock.
//
// # Strangers
//
// Requests come from anybody. Bodies, pixels, images a request, labels and their lengths, images in the queue, bytes of all bodies together,
// connections, and the time of headers, of a request and of shutting down are bounded; what is beyond gets an answer that names the
// bound. No path out of a request is ever opened: tasks are named, and what names stand for is said when the server starts
// (repository.go). A server on the loopback interface answers only to its own names, so that no web page can reach it by a name of
// its own that resolves to 127.0.0.1, and pages of other origins cannot make it do anything.
package serve
