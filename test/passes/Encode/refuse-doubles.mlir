// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
// RUN: whit-opt %s -whit-refuse-doubles -split-input-file -verify-diagnostics

// Every function of f64 is named, not only the first.
func.func @functions(%x: f64) -> f64 {
  // expected-error@+1 {{math.tanh of f64 is not supported; convert its input to f32 in the model}}
  %0 = math.tanh %x : f64
  // expected-error@+1 {{arith.remf of f64 is not supported}}
  %1 = arith.remf %0, %x : f64
  return %1 : f64
}

// -----

// Arithmetic is no function, nor is what is made of it, and functions of f32 are polynomials.
func.func @arithmetic(%x: f64, %s: f32) -> f32 {
  %0 = math.sqrt %x : f64
  %e = math.exp %0 : f64
  %l = math.log %e : f64
  %1 = arith.divf %l, %x : f64
  %2 = arith.truncf %1 : f64 to f32
  %3 = math.exp %2 : f32
  %4 = arith.remf %3, %s : f32
  return %4 : f32
}
