package main

import "runtime/debug"

// version names this build in result files: module version or commit, and the Go toolchain.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "fewshot (unknown build)"
	}
	v := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			v = s.Value
		}
	}
	return "fewshot " + v + " " + info.GoVersion
}
