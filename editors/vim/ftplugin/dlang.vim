" Settings for dlang files: comments, indentation, checking with :make.
if exists('b:did_ftplugin')
  finish
endif
let b:did_ftplugin = 1

" A doc comment goes on with ## at the next line, a comment with #.
setlocal comments=b:##,b:#
setlocal commentstring=#\ %s
setlocal formatoptions-=t formatoptions+=croql
setlocal expandtab shiftwidth=4 softtabstop=4 tabstop=4
setlocal suffixesadd=.dl
setlocal include=^\\s*\\(import\\\|from\\)
setlocal define=^\\s*\\(fn\\\|struct\\\|param\\)
setlocal makeprg=dlang\ check\ %:S

let b:undo_ftplugin = 'setlocal comments< commentstring< formatoptions< expandtab< shiftwidth< softtabstop< tabstop<'
      \ . ' suffixesadd< include< define< makeprg<'
