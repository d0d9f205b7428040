package simd
import ("testing";"runtime";"fmt";"os";"sort";"unsafe";"golang.org/x/sys/unix";"fewshot/tensor/internal/par")
func TestTune3(t *testing.T){
 if os.Getenv("TUNE")=="" {t.Skip()}
 runtime.LockOSThread()
 p:=par.New(1)
 for _,v:=range machine { if v.name!="avx512" && os.Getenv("TUNE")!="all" {continue}
 restore:=Use(v.name)
 for _,op:=range []string{"fwd","dX","dW"} { for _,m:=range []int{197,6304}{ var fl,tm float64; s:=""
 for _,nk:=range [][2]int{{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}} { n,k:=nk[0],nk[1]
  x, w, y := hf(m*k), hf(n*k), hf(m*n)
	g := &GemmArgs{Batch: 1}
	switch op {
	case "fwd":
		*g = GemmArgs{Dst: y, A: x, B: w, M: m, N: n, K: k, TransB: true, LDA: k, LDB: k, LDC: n, Batch: 1}
	case "dX":
		*g = GemmArgs{Dst: x, A: y, B: w, M: m, N: k, K: n, LDA: n, LDB: k, LDC: k, Batch: 1}
	case "dW":
		*g = GemmArgs{Dst: w, A: y, B: x, M: n, N: k, K: m, TransA: true, LDA: n, LDB: k, LDC: k, Batch: 1}
	}
  Gemm(p,g)
  var ts []float64; reps:=3; if m<1000 {reps=15}
  for r:=0;r<reps;r++{ a:=cpuNow(); Gemm(p,g); ts=append(ts,float64(cpuNow()-a)) }
  sort.Float64s(ts); d:=ts[len(ts)/2]; f:=2*float64(m)*float64(n)*float64(k); fl+=f; tm+=d; s+=fmt.Sprintf(" %.0f",f/d)
 }
 fmt.Printf("%s %s m=%d: %s  total %.0f\n",v.name,op,m,s,fl/tm)
 }}
 restore() }
}

func hf(n int) []float32 { x:=make([]float32,n+(1<<20)); if os.Getenv("HUGE")=="1" {b:=unsafe.Slice((*byte)(unsafe.Pointer(&x[0])),4*len(x)); off:=(-uintptr(unsafe.Pointer(&x[0])))&(2<<20-1); l:=(len(b)-int(off))&^(2<<20-1); if err:=unix.Madvise(b[off:int(off)+l],14);err!=nil{panic(err)}; x=x[off/4:]}
 x=x[:n]; for i:=range x {x[i]=float32(i%17-8)/16}; return x}
