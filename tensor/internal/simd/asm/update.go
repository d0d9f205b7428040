package main

func emitUpdate(f *file) {
	f.function("gradDrop", "n int, dst, a, b, s, u *float32, pull, eps, kept float32", "", `%s is gradient dropout:

	g := a[i] + pull·s[i]
	p := ½ + ½·(sgn(g)·(g+b[i]) / (|g|+|b[i]|+eps))
	dst[i] = g where p > u[i], else kept·g

For g = 0 p is not to be relied on, nor does it matter there.`, func(f *function) {
		const pull, eps, kept, half, signs, magnitude = 5, 6, 7, 8, 9, 10
		f.broadcast("pull", pull)
		f.broadcast("eps", eps)
		f.broadcast("kept", kept)
		f.ins("VMOVUPS", f.constant("half", 0x3f000000), f.reg(half))
		f.ins("VMOVUPS", f.constant("signs", 0x80000000), f.reg(signs))
		f.ins("VMOVUPS", f.constant("magnitude", 0x7fffffff), f.reg(magnitude))
		f.elementwise([]string{"dst", "a", "b", "s", "u"}, func(m mask, dst string, src []string) {
			const g, b, agree, size, t = 0, 1, 2, 3, 4
			f.read(m, src[0], g)
			f.read(m, src[1], b)
			f.read(m, src[2], t)
			f.ins("VFMADD231PS", f.reg(t), f.reg(pull), f.reg(g))
			f.ins("VADDPS", f.reg(b), f.reg(g), f.reg(agree))
			f.bitwise("AND", f.reg(signs), g, t)
			f.bitwise("XOR", f.reg(t), agree, agree)
			f.bitwise("AND", f.reg(magnitude), g, size)
			f.bitwise("AND", f.reg(magnitude), b, b)
			f.ins("VADDPS", f.reg(b), f.reg(size), f.reg(size))
			f.ins("VADDPS", f.reg(eps), f.reg(size), f.reg(size))
			f.ins("VDIVPS", f.reg(size), f.reg(agree), f.reg(agree))
			f.ins("VFMADD213PS", f.reg(half), f.reg(half), f.reg(agree)) // p
			f.read(m, src[3], t)
			f.ins("VMULPS", f.reg(kept), f.reg(g), f.reg(b))
			f.whereGreater(agree, t, g, b, size)
			f.write(m, size, dst)
		})
	})
	f.function("adam", "n int, w, m, v, grad *float32, beta1, rest1, beta2, rest2, shrink, rate, root, eps float32", "", `%s is a step of Adam, the corrections for bias in its constants:

	m[i] = beta1·m[i] + rest1·grad[i]
	v[i] = beta2·v[i] + rest2·grad[i]²
	w[i] = shrink·w[i] − rate·m[i]/(root·√v[i] + eps)`, func(f *function) {
		const beta1, rest1, beta2, rest2, shrink, rate, root, eps = 5, 6, 7, 8, 9, 10, 11, 12
		for i, name := range []string{"beta1", "rest1", "beta2", "rest2", "shrink", "rate", "root", "eps"} {
			f.broadcast(name, beta1+i)
		}
		f.elementwise([]string{"w", "m", "v", "grad"}, func(lanes mask, w string, others []string) {
			const g, m, v, t = 0, 1, 2, 3
			f.read(lanes, others[2], g)
			f.read(lanes, others[0], m)
			f.read(lanes, others[1], v)
			f.ins("VMULPS", f.reg(rest1), f.reg(g), f.reg(t))
			f.ins("VFMADD213PS", f.reg(t), f.reg(beta1), f.reg(m))
			f.ins("VMULPS", f.reg(g), f.reg(g), f.reg(g))
			f.ins("VMULPS", f.reg(rest2), f.reg(g), f.reg(g))
			f.ins("VFMADD213PS", f.reg(g), f.reg(beta2), f.reg(v))
			f.write(lanes, m, others[0])
			f.write(lanes, v, others[1])
			f.ins("VSQRTPS", f.reg(v), f.reg(v))
			f.ins("VFMADD213PS", f.reg(eps), f.reg(root), f.reg(v))
			f.ins("VDIVPS", f.reg(v), f.reg(m), f.reg(m))
			f.ins("VMULPS", f.reg(rate), f.reg(m), f.reg(m))
			f.read(lanes, w, t)
			f.ins("VFMSUB213PS", f.reg(m), f.reg(shrink), f.reg(t))
			f.write(lanes, t, w)
		})
	})
}
