whit.weight @w : !whit.tensor<8x32xf32, #whit.format<int4_g32_f32>>
  = [#whit.source<"blocks", 8, [#whit.blob<"m.data", 0 : 128 x ui8, "0123456789abcdef">, #whit.blob<"m.data", 128 : 32 x f32, "fedcba9876543210">]>]
