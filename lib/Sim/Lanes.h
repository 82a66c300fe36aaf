// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Loops over lanes. Always 32 at a time, so that the host's compiler sees a constant; wavefronts of 64 are two rounds. All lanes are
// computed, also those that do not run: `commit` drops what is not wanted.
#ifndef SIM_LANES_H
#define SIM_LANES_H

#include "Sim/Machine.h"

namespace whit::sim {

template <class R, class A, class F> inline void mapLanes(Warp &warp, Slot d, Slot a, const F &f) {
  R *to = warp.target<R>(d);
  const A *x = warp.at<A>(a);
  for (uint32_t base = 0; base < warp.width; base += 32) {
#pragma clang loop vectorize(assume_safety)
    for (uint32_t i = 0; i < 32; ++i)
      to[base + i] = f(x[base + i]);
  }
  warp.commit<R>(d);
}
template <class R, class A, class B, class F> inline void mapLanes(Warp &warp, Slot d, Slot a, Slot b, const F &f) {
  R *to = warp.target<R>(d);
  const A *x = warp.at<A>(a);
  const B *y = warp.at<B>(b);
  for (uint32_t base = 0; base < warp.width; base += 32) {
#pragma clang loop vectorize(assume_safety)
    for (uint32_t i = 0; i < 32; ++i)
      to[base + i] = f(x[base + i], y[base + i]);
  }
  warp.commit<R>(d);
}
template <class R, class A, class B, class C, class F>
inline void mapLanes(Warp &warp, Slot d, Slot a, Slot b, Slot c, const F &f) {
  R *to = warp.target<R>(d);
  const A *x = warp.at<A>(a);
  const B *y = warp.at<B>(b);
  const C *z = warp.at<C>(c);
  for (uint32_t base = 0; base < warp.width; base += 32) {
#pragma clang loop vectorize(assume_safety)
    for (uint32_t i = 0; i < 32; ++i)
      to[base + i] = f(x[base + i], y[base + i], z[base + i]);
  }
  warp.commit<R>(d);
}

} // namespace whit::sim

#endif // SIM_LANES_H
