// Two float weights of 16 KiB and 4 KiB. Neither reads a file here: bytes are needed only when an artifact is written.

whit.weight @large : !whit.tensor<64x64xf32, #whit.format<f32>>
  = [#whit.source<"rows", 64, [#whit.blob<"model.data", 0 : 16384 x f32, "0">]>]
whit.weight @small : !whit.tensor<16x64xf32, #whit.format<f32>>
  = [#whit.source<"rows", 16, [#whit.blob<"model.data", 16384 : 4096 x f32, "0">]>]

func.func @main(%x: tensor<?x64xf32>, %h: tensor<?x64xf32>, %y: tensor<?x16xf32>) -> tensor<?x16xf32> {
  %large = whit.constant @large : !whit.tensor<64x64xf32, #whit.format<f32>>
  %small = whit.constant @small : !whit.tensor<16x64xf32, #whit.format<f32>>
  %0 = whit.matmul ins(%x, %large : tensor<?x64xf32>, !whit.tensor<64x64xf32, #whit.format<f32>>) outs(%h : tensor<?x64xf32>)
    -> tensor<?x64xf32>
  %1 = whit.matmul ins(%0, %small : tensor<?x64xf32>, !whit.tensor<16x64xf32, #whit.format<f32>>) outs(%y : tensor<?x16xf32>)
    -> tensor<?x16xf32>
  return %1 : tensor<?x16xf32>
}
