//go:build cuda

package tests

import _ "fewshot/cuda"
