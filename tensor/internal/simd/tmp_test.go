package simd
import ("testing";"golang.org/x/sys/unix";"runtime";"fmt";"os";"sort";"fewshot/tensor/internal/par")
func cpuNow() int64 { var r unix.Timespec; unix.ClockGettime(3,&r); return r.Nano() }
func TestTune(t *testing.T){
 if os.Getenv("TUNE")=="" {t.Skip()}
 runtime.LockOSThread()
 p:=par.New(1)
 s:=self(4, 197, 12, 64, false); const lanes=2
		kv := filled(s.Batch * s.LenKV * s.ColsKV)
		q := kv[:s.Batch*s.LenQ*s.ColsQ]
		dst, lse := make([]float32, s.Batch*s.LenQ*s.width()), make([]float32, s.Batch*s.Heads*s.LenQ)
		ct, dq, dkv := filled(lanes*len(dst)), make([]float32, lanes*len(q)), make([]float32, lanes*len(kv))
		flops := 4 * float64(s.Batch*s.Heads*s.Size) * float64(s.LenQ) * float64(s.LenKV)
 med:=func(f func()) float64 { f(); var ts []float64; for range 21 { a:=cpuNow(); f(); ts=append(ts,float64(cpuNow()-a))}; sort.Float64s(ts); return ts[len(ts)/2] }
 d:=med(func(){ Attention(p, dst, lse, q, kv, s) }); fmt.Printf("fwd %.0f GF  %.1f us/head\n",flops/d, d/48000)
 d=med(func(){ AttentionGrad(p, dq, dkv, ct, q, kv, dst, lse, s, lanes) }); fmt.Printf("grad %.0f GF  %.1f us/head\n",flops/2*(1+4*lanes)/d, d/48000)
 w:=takeAttention(); v:=active
 d=med(func(){ for i:=0;i<100;i++ {w.keysT.packT(v,197,64,kv,2304)}}); fmt.Printf("packT %.1f us\n",d/1e5)
 d=med(func(){ for i:=0;i<100;i++ {w.values.pack(v,197,64,kv,2304)}}); fmt.Printf("pack %.1f us\n",d/1e5)
 w.p=make([]float32,197*208)
 d=med(func(){ for i:=0;i<100;i++ {v.product(197,197,64,kv,2304,1,&w.keysT,w.p,208,false)}}); fmt.Printf("qk %.1f us %.0f GF\n",d/1e5,100*2*197*197*64/d)
 d=med(func(){ for i:=0;i<100;i++ {v.product(14,197,64,kv,2304,1,&w.keysT,w.p,208,false)}}); fmt.Printf("qk14 %.1f us %.0f GF\n",d/1e5,100*2*14*197*64/d)
 d=med(func(){ for i:=0;i<100;i++ {v.product(197,64,197,w.p,208,1,&w.values,dst,768,false)}}); fmt.Printf("pv %.1f us %.0f GF\n",d/1e5,100*2*197*197*64/d)
 d=med(func(){ for i:=0;i<100;i++ {v.product(197,64,98,w.p,1,208,&w.values,dst,768,false)}}); fmt.Printf("pTct %.1f us %.0f GF\n",d/1e5,100*2*197*98*64/d)
 x:=filled(197*208);
 d=med(func(){ for i:=0;i<100;i++ { for r:=range 197 {v.softmax(197,&w.p[r*208],&x[r*208],0.125)}}}); fmt.Printf("softmax %.1f us\n",d/1e5)
 d=med(func(){ for i:=0;i<100;i++ { for r:=range 197 {v.max(197,&x[r*208])}}}); fmt.Printf("max %.1f us\n",d/1e5)
 d=med(func(){ for i:=0;i<100;i++ { for r:=range 197 {v.expShift(197,&w.p[r*208],&x[r*208],0.125,0.1)}}}); fmt.Printf("exp %.1f us\n",d/1e5)
 d=med(func(){ for i:=0;i<100;i++ { for r:=range 197 {v.scale(197,&w.p[r*208],&x[r*208],0.1)}}}); fmt.Printf("scale %.1f us\n",d/1e5)
 d=med(func(){ for i:=0;i<100;i++ { for r:=range 197 {v.softmaxGrad(197,&w.p[r*208],&x[r*208],&x[r*208],0.1,1)}}}); fmt.Printf("softmaxgrad %.1f us\n",d/1e5)
}
