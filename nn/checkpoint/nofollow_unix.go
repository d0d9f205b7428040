//go:build unix

package checkpoint

import "syscall"

// noFollow makes opening fail where the name is a symbolic link, and not wait where it is a pipe.
const noFollow = syscall.O_NOFOLLOW | syscall.O_NONBLOCK
