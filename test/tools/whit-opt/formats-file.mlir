// A format that a user named is its formula once it is read; errors name the file, the line and the field.

// RUN: echo 'mine = "float<e3m2> * e8m0/64"' > %t.toml
// RUN: whit-opt --formats-file=%t.toml %s | FileCheck %s
// RUN: whit-opt --formats-file=%t.toml --list-formats | FileCheck %s --check-prefix=LIST
// LIST: mine float<e3m2> * e8m0/64

// RUN: printf '# no size\nbad = "float<e3m2> * e8m0/0"\n' > %t.bad.toml
// RUN: not whit-opt --formats-file=%t.bad.toml %s 2>&1 | FileCheck %s --check-prefix=BAD
// BAD: error: --formats-file: {{.*}}.bad.toml: line 2: format 'bad': formula 'float<e3m2> * e8m0/0': found '0' where a block size

// CHECK: func.func private @f(!whit.tensor<4x64xf32, #whit.format<"float<e3m2> * e8m0/64">>)
func.func private @f(!whit.tensor<4x64xf32, #whit.format<mine>>)
