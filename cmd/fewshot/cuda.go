//go:build cuda

package main

import _ "fewshot/cuda"
