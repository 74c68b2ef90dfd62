" Files of dlang: by their ending, or by a first line such as #!/usr/bin/env dlang.
autocmd BufRead,BufNewFile *.dl setfiletype dlang
autocmd BufRead,BufNewFile * if getline(1) =~# '^#!.*\<dlang\>' | setfiletype dlang | endif
