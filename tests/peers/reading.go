//go:build ignore

// Reading is what opening.py measures opening beside: processes that read a file into memory and keep it.
//
//	reading slice FILE           os.ReadFile
//	reading memory FILE          every processor reads pieces into fresh memory in huge pages, as fast as that goes
//	reading floats FILE BYTES    the same, but pieces go to memory that is used again, and from there over and over to
//	                             fresh memory of that size: what widening writes, whatever it may be that is written
package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
)

func main() {
	if err := read(os.Args[1], os.Args[2], os.Args[3:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func read(way, path string, rest []string) error {
	if way == "slice" {
		kept, err := os.ReadFile(path)
		runtime.KeepAlive(kept)
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	stat, err := f.Stat()
	if err != nil {
		return err
	}
	size, piece := int(stat.Size()), 2<<20
	room := size
	if way == "floats" {
		piece = 256 << 10
		if room, err = strconv.Atoi(rest[0]); err != nil {
			return err
		}
	}
	memory, err := syscall.Mmap(-1, 0, room, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_PRIVATE|syscall.MAP_ANON)
	if err == nil {
		err = syscall.Madvise(memory, 14) // MADV_HUGEPAGE
	}
	if err != nil {
		return err
	}
	pieces := (size + piece - 1) / piece
	var next atomic.Int64
	var work sync.WaitGroup
	errs := make([]error, runtime.GOMAXPROCS(0))
	for i := range errs {
		work.Go(func() {
			again := make([]byte, piece)
			for p := int(next.Add(1)) - 1; p < pieces && errs[i] == nil; p = int(next.Add(1)) - 1 {
				lo, hi := p*piece, min((p+1)*piece, size)
				if way == "memory" {
					_, errs[i] = f.ReadAt(memory[lo:hi], int64(lo))
					continue
				}
				_, errs[i] = f.ReadAt(again[:hi-lo], int64(lo))
				for to := memory[room*p/pieces : room*(p+1)/pieces]; len(to) > 0; {
					to = to[copy(to, again):]
				}
			}
		})
	}
	work.Wait()
	runtime.KeepAlive(memory)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
