# Writes files as a table for C++, {"name", "content"}, one after the other:
#
#   cmake -DOUT=table.inc -DFILES=a.html,b.js -P cmake/embed_files.cmake
#
# Raw string literals, so the table can be read; a file must not hold their end
# mark, and compilers accept 64 KiB each.
string(REPLACE "," ";" files "${FILES}")
set(table "")
foreach(file IN LISTS files)
  file(READ "${file}" content)
  string(LENGTH "${content}" length)
  if(content MATCHES "\\)EMBEDDED\"" OR length GREATER 65000)
    message(FATAL_ERROR "${file}: holds )EMBEDDED\", or more than 65,000 bytes")
  endif()
  cmake_path(GET file FILENAME name)
  string(APPEND table "{\"${name}\", R\"EMBEDDED(${content})EMBEDDED\"},\n")
endforeach()
file(WRITE "${OUT}" "${table}")
