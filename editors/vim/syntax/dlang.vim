" Syntax of dlang.
if exists('b:current_syntax')
  finish
endif
let s:cpo_save = &cpo
set cpo&vim
syntax case match

" Words. A word after a dot is a field or method, whatever its name; see dlangField.
syntax keyword dlangConditional if else
syntax keyword dlangRepeat while for in break continue
syntax keyword dlangStatement return
syntax keyword dlangException try catch
syntax keyword dlangOperatorWord and or not
syntax keyword dlangModifier inout nograd
syntax keyword dlangDeclare let impl param test
syntax match dlangDeclare /\<var\>/
syntax keyword dlangDeclare fn nextgroup=dlangFunctionName skipwhite
syntax keyword dlangDeclare struct nextgroup=dlangStructName skipwhite
syntax keyword dlangImport import from as
syntax keyword dlangBoolean true false
syntax keyword dlangNone none
syntax keyword dlangSelf self
syntax match dlangParameter /\<\l\w*\>/ contained
syntax match dlangType /\<\%(int\|float\|bool\|str\|list\|dict\|f32\|f64\)\>/

" Constants; e is one too, but mostly a name (catch e, (e, x)), so only as an operand or argument.
syntax keyword dlangMathConstant pi inf nan
syntax match dlangMathConstant /\%([-+*/^(]\s*\)\@<=\<e\>\ze\s*[-+*/^),]/

" mathematics
syntax keyword dlangBuiltin abs sign sqrt cbrt exp expm1 log log1p log2 log10 sin cos tan asin acos atan atan2 sinh cosh tanh
syntax keyword dlangBuiltin floor ceil round trunc maximum minimum clamp where erf lgamma digamma sigmoid softplus relu gelu
syntax keyword dlangBuiltin silu logaddexp isnan isinf isfinite hypot pow
syntax keyword dlangBuiltin rsqrt asinh acosh atanh erfc erfinv log_ndtr logit sinc xlogy xlog1py fmod copysign
syntax keyword dlangBuiltin heaviside nan_to_num fmax fmin log_sigmoid relu6 leaky_relu elu celu selu mish hard_tanh
syntax keyword dlangBuiltin hard_sigmoid hard_swish softsign cummax cummin logcumsumexp median quantile nansum nanmean
syntax keyword dlangBuiltin segment_sum segment_max searchsorted interp gammainc gammaincc
" making tensors, random numbers
syntax keyword dlangBuiltin zeros ones full eye arange linspace zeros_like ones_like tensor seed random_state set_random_state rand randn randint permutation
syntax keyword dlangBuiltin choice shuffle set_dtype
" reductions
syntax keyword dlangBuiltin sum mean prod max min std any all argmax argmin logsumexp norm softmax log_softmax cumsum cumprod
syntax keyword dlangBuiltin count_nonzero
" shape and order
syntax keyword dlangBuiltin reshape transpose permute squeeze expand flatten broadcast_to concat stack split repeat tile flip
syntax keyword dlangBuiltin roll pad take gather scatter_add one_hot sort argsort topk unique tril triu diag trace
" linear algebra, convolution
syntax keyword dlangBuiltin dot outer einsum inv solve det logdet cholesky qr eigh svd lstsq conv1d conv2d conv_transpose2d
syntax keyword dlangBuiltin max_pool2d avg_pool2d
" structures
syntax keyword dlangBuiltin map filter zip enumerate range len sorted reversed tree_map leaves flatten_tree count_params
syntax keyword dlangBuiltin global_norm push pop insert extend keys values items get
" text and io
syntax keyword dlangBuiltin print type repr join strip replace lower upper startswith endswith read_text write_text read_bytes write_bytes to_bytes from_bytes input
syntax keyword dlangBuiltin stdin_lines args env exit time time_ns json_parse json_encode assert error
" derivatives
syntax keyword dlangBuiltin grad value_and_grad vjp jvp derivative jacobian hessian hvp sparse_jacobian sparse_hessian root fixed_point vmap stop_grad checkpoint custom_vjp
syntax keyword dlangBuiltin custom_jvp check_grad
syntax match dlangBuiltin /\<var\ze\s*(/
" ... but `var (a, b) = pair` declares.
syntax match dlangDeclare /^\s*\zsvar\ze\s*(.*)\s*=/

syntax match dlangFunctionName /\h\w*/ contained
syntax match dlangStructName /\h\w*/ contained
syntax match dlangStructUse /\<\u\w*\>/
syntax match dlangCall /\<\h\w*\ze(/ contains=dlangBuiltin,dlangType,dlangStructUse,dlangDeclare,dlangConditional,dlangOperatorWord,dlangRepeat,dlangSelf,dlangStatement
syntax match dlangField /\.\@<!\.\h\w*/
syntax match dlangNamed /\<\h\w*\ze\s*:\%([^=:]\|$\)/ contains=dlangConditional

" The shape of an annotation: float[n, 64]
syntax region dlangTensorType matchgroup=dlangType start=/\<\%(float\|int\|bool\|f32\|f64\)\[/ end=/\]/ contains=dlangDim,dlangNumber,dlangOperator oneline
syntax match dlangDim /\<\h\w*\>/ contained

" Numbers
syntax match dlangNumber /\<\d\%(_\?\d\)*\>/
syntax match dlangNumber /\<0[xX]\x\%(_\?\x\)*\>/
syntax match dlangFloat /\<\d\%(_\?\d\)*\.\d\%(_\?\d\)*\%([eE][-+]\?\d\+\)\?\>/
syntax match dlangFloat /\<\d\%(_\?\d\)*[eE][-+]\?\d\+\>/

" Operators
syntax match dlangOperator /[-+*/%@^=<>!?]=\?/
syntax match dlangOperator /\/\/=\?/
syntax match dlangOperator /->\||>\|\.\.\.\|\.\.=\?\|&\ze\h/
syntax match dlangLambda /||/
syntax region dlangLambdaParameters matchgroup=dlangLambda start=/|\%([>|]\)\@!/ end=/|\|$/ oneline contains=dlangTensorType,dlangType,dlangStructUse,dlangParameter,dlangNumber,dlangFloat

" Strings
syntax match dlangEscape /\\\%([nrt0"'\\]\|u{\x\{1,6}}\)/ contained
syntax match dlangBrace /{{\|}}/ contained
syntax region dlangString start=/"/ skip=/\\./ end=/"/ oneline contains=dlangEscape
syntax region dlangString start=/"""/ skip=/\\./ end=/"""/ contains=dlangEscape
syntax region dlangFormat matchgroup=dlangString start=/\<f"/ skip=/\\./ end=/"/ oneline contains=dlangEscape,dlangBrace,dlangInterpolation
syntax region dlangFormat matchgroup=dlangString start=/\<f"""/ skip=/\\./ end=/"""/ contains=dlangEscape,dlangBrace,dlangInterpolation
syntax region dlangInterpolation matchgroup=dlangInterpolationEdge start=/{{\@!/ end=/}/ contained contains=TOP,dlangInterpolation,dlangNamed,dlangComment,dlangDocComment,dlangShebang,@Spell
syntax match dlangFormatSpec /:\%(.\?[<>^]\)\?[-+ ]\?\d*,\?\%(\.\d*\)\?[dfegsx%]\?\ze[{}]/ contained containedin=dlangInterpolation
syntax match dlangFormatSpec /}\@<=,\?\.\?\d*[dfegsx%]\?\ze[{}]/ contained containedin=dlangInterpolation

" Comments
syntax keyword dlangTodo TODO FIXME NOTE contained
syntax match dlangComment /#.*$/ contains=dlangTodo,@Spell
syntax match dlangDocComment /##.*$/ contains=dlangTodo,@Spell
syntax match dlangShebang /\%^#!.*$/

syntax sync minlines=200

highlight default link dlangConditional Conditional
highlight default link dlangRepeat Repeat
highlight default link dlangStatement Statement
highlight default link dlangException Exception
highlight default link dlangOperatorWord Operator
highlight default link dlangModifier StorageClass
highlight default link dlangDeclare Keyword
highlight default link dlangImport Include
highlight default link dlangBoolean Boolean
highlight default link dlangNone Constant
highlight default link dlangSelf Identifier
highlight default link dlangType Type
highlight default link dlangMathConstant Constant
highlight default link dlangBuiltin Function
highlight default link dlangFunctionName Function
highlight default link dlangStructName Structure
highlight default link dlangStructUse Structure
highlight default link dlangCall Function
highlight default link dlangField Identifier
highlight default link dlangNamed Identifier
highlight default link dlangDim Identifier
highlight default link dlangNumber Number
highlight default link dlangFloat Float
highlight default link dlangOperator Operator
highlight default link dlangLambda Delimiter
highlight default link dlangParameter Identifier
highlight default link dlangEscape SpecialChar
highlight default link dlangBrace SpecialChar
highlight default link dlangString String
highlight default link dlangFormat String
highlight default link dlangInterpolationEdge Delimiter
highlight default link dlangFormatSpec Special
highlight default link dlangTodo Todo
highlight default link dlangComment Comment
highlight default link dlangDocComment SpecialComment
highlight default link dlangShebang PreProc

let b:current_syntax = 'dlang'
let &cpo = s:cpo_save
unlet s:cpo_save
