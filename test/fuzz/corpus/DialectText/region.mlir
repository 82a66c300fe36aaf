func.func @f(%x: tensor<?x64xf32>, %y: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %r = whit.region "a" (%x, %y : tensor<?x64xf32>, tensor<?x64xf32>) attributes {nodes = ["n"]} {
    whit.yield %x : tensor<?x64xf32>
  } -> tensor<?x64xf32>
  return %r : tensor<?x64xf32>
}
