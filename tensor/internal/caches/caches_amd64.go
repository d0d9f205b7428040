//go:build !purego

package caches

// cpuid is the instruction of that name.
//
//go:noescape
func cpuid(leaf, sub uint32) (eax, ebx, ecx, edx uint32)

func read() Sizes {
	const intel, amd, features, topology = 4, 0x8000001d, 0x80000001, 1 << 22
	leaf := uint32(intel)
	if most, _, _, _ := cpuid(0x80000000, 0); most >= amd {
		if _, _, ecx, _ := cpuid(features, 0); ecx&topology != 0 {
			leaf = amd
		}
	}
	if most, _, _, _ := cpuid(0, 0); leaf == intel && most < intel {
		return Sizes{SharedL2: 1}
	}
	return collect(func(i int) level {
		eax, ebx, ecx, _ := cpuid(leaf, uint32(i))
		return level{eax, ebx, ecx}
	})
}
