// Package run is a run as a value and its execution: a [Spec] says what determines a result, and what is in it is all that does.
// Here model, images, method and state are put together; commands parse, and print what comes out.
package run
