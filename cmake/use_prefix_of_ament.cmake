# rosidl looks up type supports in the ament index, through AMENT_PREFIX_PATH. A sourced ROS
# sets it; pip's wheels unpack ROS into the environment's prefix and set nothing, so the
# prefix in which find_package() met ament_cmake is added here.
get_filename_component(_ament_prefix "${ament_cmake_DIR}/../../.." ABSOLUTE)
string(REPLACE ":" ";" _prefixes "$ENV{AMENT_PREFIX_PATH}")
if(NOT _ament_prefix IN_LIST _prefixes)
  list(APPEND _prefixes "${_ament_prefix}")
  list(JOIN _prefixes ":" _joined)
  set(ENV{AMENT_PREFIX_PATH} "${_joined}")
endif()
