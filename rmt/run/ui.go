package run

// UI is told how a run goes on.
type UI interface {
	Note(format string, a ...any) // a line for people
	Warn(format string, a ...any) // a line that must not be missed
	Log(format string, a ...any)  // a line for whoever looks later on, where no bar is shown
	Event(v any) error            // an object for programs
	// Progress starts a bar of n steps. advance is told how many are done, and what to say.
	Progress(what string, n int) (advance func(done int, say string), finish func())
}
