" Indentation for dlang: one step deeper after an opening bracket, back at a closing one; a line that
" starts with |> or .name is one step deeper than the line it continues.
if exists('b:did_indent')
  finish
endif
let b:did_indent = 1

setlocal indentexpr=DlangIndent(v:lnum)
setlocal indentkeys=0{,0},0),0],!^F,o,O,0=.,0=\|>
let b:undo_indent = 'setlocal indentexpr< indentkeys<'

if exists('*DlangIndent')
  finish
endif

let s:continues = '^\s*\(|>\|\.\h\)'

" The code of a line, without strings and comments.
function s:Code(lnum) abort
  let line = substitute(getline(a:lnum), '"\(\\.\|[^"\\]\)*"', '', 'g')
  return substitute(line, '#.*$', '', '')
endfunction

function DlangIndent(lnum) abort
  let above = prevnonblank(a:lnum - 1)
  if above == 0
    return 0
  endif
  let step = shiftwidth()
  let indent = indent(above)
  let code = s:Code(above)
  let here = getline(a:lnum)
  if code =~# '[({\[]\s*\(|[^|]*|\s*\)\?$'
    let indent += step
  elseif here =~# s:continues && code !~# s:continues
    return indent + step
  elseif code =~# s:continues && here !~# s:continues
    let indent -= step
  endif
  if here =~# '^\s*[)}\]]'
    let indent -= step
  endif
  return max([indent, 0])
endfunction
